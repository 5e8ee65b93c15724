"""Python packages that Slicer does not bring: which action needs which, and whether they are fit for use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UNLOADABLE_TORCH, DependencyError
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
    if model is not None and Path(model).is_file():
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
    if isinstance(error, DependencyError) and str(error).startswith(UNLOADABLE_TORCH):
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
