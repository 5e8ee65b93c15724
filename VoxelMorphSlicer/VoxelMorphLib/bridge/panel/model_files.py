"""The user's own weight files: copied into the folder of models, listed and removed there."""

from __future__ import annotations

import contextlib
import filecmp
import shutil
from itertools import chain, count
from pathlib import Path

from ...core.errors import OutputError, WeightsError
from ...weights.folders import default_cache_folder

SUFFIXES = (".h5", ".pt", ".safetensors")


def imported_folder() -> Path:
    """Folder of imported weight files; it may not exist yet.

    Raises:
        ConfigError: there is no place for models.
    """
    return default_cache_folder() / "imported"


def imported_files() -> list[Path]:
    """The imported weight files by name.

    Raises:
        ConfigError: there is no place for models.
        OutputError: their folder cannot be read.
    """
    folder = imported_folder()
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES) if folder.is_dir() else []
    except OSError as error:
        raise OutputError(
            f"The folder of imported models {folder} cannot be read ({error.strerror or error}). Allow reading there."
        ) from error


def import_file(source: str | Path) -> Path:
    """Copy a weight file into the folder of models; another one of the same name stays, and the copy gets a number.

    Raises:
        WeightsError: `source` is no weight file.
        OutputError: the folder cannot be written.
    """
    source = Path(source)
    if source.suffix.lower() not in SUFFIXES or not source.is_file():
        raise WeightsError(f"{source} is no weight file. Choose a file that ends in {', '.join(SUFFIXES)}.")
    target = _place_of(source)
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OutputError(
            f"{target} cannot be written ({error.strerror}). Free space or allow writing there."
        ) from error
    return target


def _place_of(source: Path) -> Path:
    """The first free name; that of a file with the same contents where one was imported before."""
    folder, suffix = imported_folder(), source.suffix.lower()
    names = chain([source.stem], (f"{source.stem}-{number}" for number in count(2)))
    places = (folder / f"{name}{suffix}" for name in names)
    return next(place for place in places if not place.exists() or filecmp.cmp(source, place, shallow=False))


def remove_imported(path: Path) -> None:
    """Remove an imported file.

    Raises:
        OutputError: it cannot be removed, or was not imported.
    """
    if path not in imported_files():
        raise OutputError(f"{path} was not imported. Choose one of {imported_folder()}.")
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be removed ({error.strerror}). Close what uses it.") from error
