"""Packages that an action needs: which are missing, one question, one installation, or one plain refusal."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DependencyError, TorchLoadError
from ..core.io.paths import is_file
from ..weights.catalogue import find_entry, load_catalogue
from ..weights.file_format import file_format


@dataclass(frozen=True)
class Package:
    """One package that is installed on demand.

    Args:
        name: what Python and pip call it.
        minimum: oldest version that works.
        purpose: what it is needed for, in the words of the question to the user.
        download: how much is fetched, in words.
    """

    name: str
    minimum: str
    purpose: str
    download: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name}>={self.minimum}"


#: Slicer for the Mac is an Intel program, for which torch ends with 2.2; what torch before 2.6 would run in a file of
#: weights (CVE-2025-32434) is refused before torch opens it.
TORCH = Package(
    "torch", "2.1", "to register volumes", "about 200 MB, up to 3 GB with support for NVIDIA graphics processors"
)
H5PY = Package("h5py", "3.8", "to read published Keras weights (.h5)", "about 5 MB")
SAFETENSORS = Package("safetensors", "0.4", "to read weights (.safetensors)", "less than 1 MB")
NIBABEL = Package("nibabel", "5.0", "to read FreeSurfer files (.mgz)", "about 4 MB")
MATPLOTLIB = Package("matplotlib", "3.7", "to draw reports", "about 20 MB")
LIGHTNING = Package("lightning_fabric", "2.2", "to train networks", "about 2 MB")

#: What a training and the model that it leaves need.
TRAINING = (TORCH, LIGHTNING, SAFETENSORS)

_FOR_FORMAT = {"keras": (H5PY,), "safetensors": (SAFETENSORS,)}
_FREESURFER = (".mgz", ".mgh")


def packages_for_model(model: str | Path | None) -> tuple[Package, ...]:
    """What a registration with a model needs.

    Args:
        model: id of the catalogue or a weights file; None is the default model.

    Raises:
        ConfigError: there is no such model.
        WeightsError: the file cannot be read or holds no weights.
    """
    if model is not None and is_file(model):
        return (TORCH, *_FOR_FORMAT.get(file_format(Path(model)), ()))
    entry = next(iter(load_catalogue().values())) if model is None else find_entry(str(model))
    return (TORCH, *_FOR_FORMAT.get(entry.format or "", ()))


def packages_for_file(path: str | Path) -> tuple[Package, ...]:
    """What reading or writing an image or transform file needs beside what Slicer brings."""
    return (NIBABEL,) if Path(path).suffix.lower() in _FREESURFER else ()


@dataclass(frozen=True)
class Missing:
    """A package that cannot be used as it is.

    Args:
        package: which one.
        problem: "missing", "too old" or "broken".
        found: its version, or why it is broken.
    """

    package: Package
    problem: str
    found: str = ""

    def __str__(self) -> str:
        reason = {"missing": "not installed", "too old": f"too old: {self.found}", "broken": self.found}[self.problem]
        minimum = f"{self.package.name} {self.package.minimum} or newer"
        return f"{minimum} {self.package.purpose} ({reason}; download: {self.package.download})"


class Installed:
    """What this Python has; nothing is imported, because loading torch would stop the application for seconds."""

    def version(self, name: str) -> str | None:
        """Version of an installed package."""
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def is_importable(self, name: str) -> bool:
        """Whether Python finds the code of a package."""
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return False

    def is_loaded(self, name: str) -> bool:
        """Whether this process has imported a package, so that another version needs a restart."""
        return name in sys.modules


def check(packages: Iterable[Package], installed: Installed | None = None) -> list[Missing]:
    """The packages that are missing, too old or broken, in their order; nothing is installed or imported."""
    installed = installed or Installed()
    return [missing for package in packages if (missing := _judge(package, installed)) is not None]


#: What another process found out by loading a package, by its name; here nothing is loaded.
_UNLOADABLE: dict[str, str] = {}


def note_unloadable(error: Exception) -> None:
    """Remember where another process could not load torch, so that the next click offers to install it again."""
    if isinstance(error, TorchLoadError):
        _UNLOADABLE[TORCH.name] = str(error).split(". ")[0]


def forget_unloadable(name: str) -> None:
    """The package was installed again."""
    _UNLOADABLE.pop(name, None)


def _judge(package: Package, installed: Installed) -> Missing | None:
    if package.name in _UNLOADABLE:
        return Missing(package, "broken", _UNLOADABLE[package.name])
    version = installed.version(package.name)
    if version is None:
        return Missing(package, "missing")
    if not installed.is_importable(package.name):
        return Missing(package, "broken", f"version {version} is registered but its files are missing")
    if _numbers(version) < _numbers(package.minimum):
        return Missing(package, "too old", version)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version without what follows it: "2.13.0+cu128" is (2, 13, 0)."""
    return tuple(int(number) for number in re.match(r"[0-9.]*", version).group().split(".") if number)


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


def _broken_torch(error: Exception) -> TorchLoadError:
    return TorchLoadError(
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
