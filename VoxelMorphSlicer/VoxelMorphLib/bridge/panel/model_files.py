"""The user's own weight files: copied into the folder of models, listed and removed there."""

from __future__ import annotations

import contextlib
import shutil
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
    """The imported weight files by name."""
    folder = imported_folder()
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES) if folder.is_dir() else []


def import_file(source: str | Path) -> Path:
    """Copy a weight file into the folder of models; one of the same name is replaced.

    Raises:
        WeightsError: `source` is no weight file.
        OutputError: the folder cannot be written.
    """
    source = Path(source)
    if source.suffix.lower() not in SUFFIXES or not source.is_file():
        raise WeightsError(f"{source} is no weight file. Choose a file that ends in {', '.join(SUFFIXES)}.")
    target = imported_folder() / f"{source.stem}{source.suffix.lower()}"
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
