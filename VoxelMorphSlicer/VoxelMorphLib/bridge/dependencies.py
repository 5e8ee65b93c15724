"""Installation of missing packages at the point of use: one question, one installation, or one plain refusal."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from ..core.errors import DependencyError
from .packages import TORCH, Installed, Missing, Package, check, forget_unloadable

#: Shows a text and tells whether the user agrees.
Ask = Callable[[str], bool]


class Installer:
    """How this Slicer installs packages and its PyTorch extension; tests put their own in its place."""

    def is_attended(self) -> bool:
        """Whether a person answers: in testing mode Slicer agrees to every question by itself."""
        try:
            import slicer

            return not slicer.app.testingEnabled()
        except (ImportError, AttributeError):  # no application; who called answers
            return True

    def pip_install(self, requirements: list[str]) -> None:
        """Install by pip: by `slicer.packaging` (Slicer 5.12 and later), else by `slicer.util`."""
        try:
            from slicer.packaging import pip_install
        except ImportError:
            from slicer.util import pip_install
        pip_install(requirements)

    def torch_logic(self) -> Any | None:
        """Logic of the module PyTorch Utils; None where the PyTorch extension is not installed."""
        try:
            return importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
        except ImportError:
            return None

    def install_torch_extension(self) -> bool:
        """Fetch the PyTorch extension from the catalogue; it can be used after a restart."""
        import slicer

        manager = slicer.app.extensionsManagerModel()
        manager.updateExtensionsMetadataFromServer(True, True)
        return bool(manager.installExtensionFromServer("PyTorch", False, False))


def question(missing: Iterable[Missing], has_extension: bool = True) -> str:
    """What the user is asked before anything is downloaded: each package, why, and how large."""
    lines = [f"- {item}" for item in missing]
    if not has_extension:
        lines.insert(0, "- the PyTorch extension, which chooses the PyTorch that fits this computer (less than 1 MB)")
    return "\n".join(["VoxelMorph needs Python packages that Slicer does not bring:", *lines, "", "Install them now?"])


def ensure(
    packages: Iterable[Package], ask: Ask, installer: Installer | None = None, installed: Installed | None = None
) -> None:
    """Return once the packages can be used; asks at most one question, and installs nothing without a person's yes.

    Args:
        packages: what the action needs; see `packages_for_model`.
        ask: shows the question.
        installer: how to install.
        installed: what there is.

    Raises:
        DependencyError: the user declined, the installation failed, or Slicer must be restarted first.
    """
    installer, installed = installer or Installer(), installed or Installed()
    packages = tuple(packages)
    missing = check(packages, installed)
    if not missing:
        return
    names = ", ".join(item.package.name for item in missing)
    needs_torch = any(item.package is TORCH for item in missing)
    torch_logic = installer.torch_logic() if needs_torch else None
    if not installer.is_attended() or not ask(
        question(missing, has_extension=not needs_torch or torch_logic is not None)
    ):
        raise DependencyError(f"Nothing was installed. Without {names} this cannot be done. Repeat to be asked again.")
    must_restart = [item.package.name for item in missing if installed.is_loaded(item.package.name)]
    if needs_torch:  # first: other packages need it too, and pip would bring one that does not fit this computer
        _install_torch(next(item for item in missing if item.package is TORCH), torch_logic, installer)
        forget_unloadable(TORCH.name)
    _install_others([item for item in missing if item.package is not TORCH], installer)
    if must_restart:
        raise DependencyError(f"{', '.join(must_restart)} was replaced. Restart Slicer, then repeat.", True)
    importlib.invalidate_caches()
    left = check(packages, installed)
    if left:
        raise _failure(", ".join(item.package.name for item in left), "it is still not usable afterwards")


def load_torch(load: Callable[[str], Any] = importlib.import_module) -> Any:
    """Import torch into this process.

    Raises:
        DependencyError: torch is absent or cannot be loaded.
    """
    try:
        return load("torch")
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise DependencyError(
                "PyTorch is not installed. Install it in the module PyTorch Utils, then try again."
            ) from error
        raise _broken_torch(error) from error
    except (ImportError, OSError) as error:  # a shared library that is missing or does not fit the system
        raise _broken_torch(error) from error


def _broken_torch(error: Exception) -> DependencyError:
    return DependencyError(
        f"PyTorch is installed but cannot be loaded ({_first_line(error)}). Uninstall and install it again in the "
        "module PyTorch Utils, then restart Slicer.",
        restart_required=True,
    )


def _install_others(missing: list[Missing], installer: Installer) -> None:
    if not missing:
        return
    try:
        installer.pip_install([item.package.requirement for item in missing])
    except Exception as error:  # pip's failures have no common class
        raise _failure(", ".join(item.package.name for item in missing), _first_line(error)) from error


def _install_torch(missing: Missing, logic: Any | None, installer: Installer) -> None:
    if logic is None:
        _install_extension(installer)
    try:
        if missing.problem == "broken":
            logic.uninstallTorch(askConfirmation=False)
        torch = _installed_torch(logic, f">={missing.package.minimum}")
    except Exception as error:  # as above, and the extension's own
        raise _failure("torch", _first_line(error)) from error
    if torch is None:
        raise _failure("torch", "the PyTorch extension gave up; see Slicer's log")


def _installed_torch(logic: Any, requirement: str) -> Any | None:
    try:
        return logic.installTorch(askConfirmation=False, torchVersionRequirement=requirement)
    except TypeError:  # an extension from before it knew requirements
        return logic.installTorch(askConfirmation=False)


def _install_extension(installer: Installer) -> None:
    """Always raises: the extension works from the next start on."""
    try:
        done, reason = installer.install_torch_extension(), "the catalogue of extensions did not deliver it"
    except Exception as error:  # no application, no catalogue, no network
        done, reason = False, _first_line(error)
    if not done:
        raise _failure("the PyTorch extension", reason)
    raise DependencyError(
        "The PyTorch extension was installed. Restart Slicer, then repeat: PyTorch itself is installed then.",
        restart_required=True,
    )


def _failure(names: str, reason: str) -> DependencyError:
    long_paths = " Long paths can be the cause: enable them, or install Slicer in a shorter folder."
    return DependencyError(
        f"{names} could not be installed ({reason}). Check the network connection and the free space, then try again."
        + (long_paths if os.name == "nt" else "")
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
