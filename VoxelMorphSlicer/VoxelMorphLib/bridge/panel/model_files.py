"""The user's own weight files: copied into the folder of models, listed and removed there."""

from __future__ import annotations

import contextlib
import filecmp
import threading
import time
from itertools import chain, count
from pathlib import Path

from slicer.i18n import tr as _

from ...core.errors import OutputError, WeightsError
from ...core.progress import Progress, silent
from ...weights.folders import default_cache_folder
from ..background.steps import Steps
from .model_texts import size_text

SUFFIXES = (".h5", ".pt", ".safetensors")
#: Seconds that a thread copies before the progress is told.
PIECE_S = 0.2
_CHUNK = 1 << 20


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


def import_steps(source: str | Path, progress: Progress = silent) -> Steps:
    """Copy a weight file into the folder of models; another one of the same name stays, and the copy gets a number.

    Args:
        source: the file.
        progress: called between the steps with the copied fraction and a text.

    Returns:
        Steps that give the copy; whoever closes them earlier finds none.

    Raises:
        WeightsError: `source` is no weight file.
        OutputError: it cannot be copied.
    """
    source = Path(source)
    if source.suffix.lower() not in SUFFIXES or not source.is_file():
        raise WeightsError(f"{source} is no weight file. Choose a file that ends in {', '.join(SUFFIXES)}.")
    try:
        target = yield lambda: _place_of(source)
        if not target.exists():
            yield from _copying(source, target, progress)
    except OSError as error:
        raise _not_copied(source, error) from error
    return target


def _place_of(source: Path) -> Path:
    """The first free name; that of a file with the same contents where one was imported before."""
    folder, suffix = imported_folder(), source.suffix.lower()
    names = chain([source.stem], (f"{source.stem}-{number}" for number in count(2)))
    places = (folder / f"{name}{suffix}" for name in names)
    return next(place for place in places if not place.exists() or filecmp.cmp(source, place, shallow=False))


def _copying(source: Path, target: Path, progress: Progress) -> Steps:
    """Copy under another name, piece by piece, so that `target` is complete or absent."""
    partial, stopped, size = target.with_name(f".{target.name}.part"), threading.Event(), source.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        while not (yield lambda: _copy_piece(source, partial, stopped)):
            copied = partial.stat().st_size
            text = _("Copying {name}: {done} of {size}")
            progress(copied / size, text.format(name=source.name, done=size_text(copied), size=size_text(size)))
        partial.replace(target)
    finally:
        stopped.set()
        _remove_quietly(partial)


def _copy_piece(source: Path, partial: Path, stopped: threading.Event) -> bool:
    """Append to a copy for `PIECE_S`; returns whether it is complete. Whoever stops it does not wait for it."""
    end, chunk = time.monotonic() + PIECE_S, b""
    with source.open("rb") as file, partial.open("ab") as copy:
        file.seek(copy.tell())
        while not stopped.is_set() and (chunk := file.read(_CHUNK)):
            copy.write(chunk)
            if time.monotonic() > end:
                break
    if stopped.is_set():
        _remove_quietly(partial)
    return not chunk


def _remove_quietly(partial: Path) -> None:
    with contextlib.suppress(OSError):  # on Windows one that a thread still writes, which removes it then
        partial.unlink(missing_ok=True)


def _not_copied(source: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{source} cannot be copied into the folder of models: {error.filename or imported_folder()} cannot be read or "
        f"written ({error.strerror or error}). Free space, or allow reading and writing there."
    )


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
