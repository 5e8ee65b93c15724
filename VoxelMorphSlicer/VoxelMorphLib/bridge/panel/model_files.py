"""The user's own weight files, imported and removed, and what the panel says about each model."""

from __future__ import annotations

import contextlib
import filecmp
import threading
import time
from itertools import chain, count
from pathlib import Path

from slicer.i18n import tr as _

from ...core.errors import AccessError, OutputError, WeightsError
from ...core.io.paths import entries, exists, is_file, is_folder
from ...core.progress import Progress, silent
from ...weights.entry import ModelEntry
from ...weights.folders import default_cache_folder
from ..background.steps import Steps

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
        return [path for path in entries(folder) if path.suffix in SUFFIXES] if is_folder(folder) else []
    except AccessError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise OutputError(
            f"The folder of imported models {folder} cannot be read ({reason}). Allow reading there."
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
    if source.suffix.lower() not in SUFFIXES or not is_file(source):
        raise WeightsError(f"{source} is no weight file. Choose a file that ends in {', '.join(SUFFIXES)}.")
    try:
        target = yield lambda: _place_of(source)
        if not exists(target):
            yield from _copying(source, target, progress)
    except OSError as error:
        raise _not_copied(source, error) from error
    return target


def _place_of(source: Path) -> Path:
    """The first free name; that of a file with the same contents where one was imported before."""
    folder, suffix = imported_folder(), source.suffix.lower()
    names = chain([source.stem], (f"{source.stem}-{number}" for number in count(2)))
    places = (folder / f"{name}{suffix}" for name in names)
    return next(place for place in places if not exists(place) or filecmp.cmp(source, place, shallow=False))


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


def size_text(count: int) -> str:
    """A number of bytes for people, such as 1.3 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def state_text(state: str) -> str:
    """Where the file of a model is; `state` as the store of weights names it."""
    texts = {
        "bundled": _("bundled"),
        "downloaded": _("downloaded"),
        "partly downloaded": _("partly downloaded"),
        "to download": _("to download"),
    }
    return texts.get(state, _("in your folder"))


def title_of(entry: ModelEntry, state: str) -> str:
    """What the list shows; it says so where something is still to be fetched."""
    return f"{entry.title} - {state_text(state)}" if state in ("to download", "partly downloaded") else entry.title


def facts_of(entry: ModelEntry, state: str, unfinished: int) -> list[str]:
    """What people need to choose a model.

    Args:
        entry: the model.
        state: where its file is.
        unfinished: bytes of it that an unfinished download has.
    """
    images = f"{entry.anatomy}, {entry.modality}" if entry.modality != "any" else _("any anatomy and modality")
    needs = (
        [_("affine start")] * entry.requires_affine
        + [_("centring")] * entry.requires_centring
        + [_("skull-stripped")] * entry.requires_skull_strip
    )
    licence = entry.licence or _("not stated by its authors")
    return [
        _("For: {images}").format(images=images),
        *([_("Needs: {needs}").format(needs=", ".join(needs))] if needs else []),
        _availability(entry, state, unfinished),
        _("Licence: {licence}").format(licence=licence),
    ]


def licence_question(entry: ModelEntry) -> str:
    """What a person is asked before a model of others, or a bundled one under another licence, is used."""
    bundled = entry.url is None
    text = (
        _("{title} comes with this extension, but under a licence of its own: {licence}.")
        if bundled
        else _("{title} comes from its authors under their own licence: {licence}.")
    )
    terms = text.format(title=entry.title, licence=entry.licence or _("not stated by its authors"))
    source = _("Source: {source}").format(source=_("bundled with this extension") if bundled else entry.url)
    citation = _("Cite: {citation}").format(citation=entry.citation or _("not stated"))
    unchecked = _(
        "Nobody published a checksum of this file: the first download cannot be checked, and later ones must equal it."
    )
    remarks = "" if bundled or entry.sha256 else f"\n\n{unchecked}"
    answer = _("Do you agree to use it under these terms? You are asked once per model.")
    return f"{terms}\n\n{source}\n{citation}{remarks}\n\n{answer}"


def _availability(entry: ModelEntry, state: str, unfinished: int) -> str:
    if entry.file is None:
        return _("nothing to download")
    size = size_text(entry.bytes) if entry.bytes else _("size unknown")
    if state == "partly downloaded":
        text = _("{done} of {size}") if entry.bytes else "{done}, {size}"
        size = text.format(done=size_text(unfinished), size=size)
    return f"{state_text(state)} ({size})"
