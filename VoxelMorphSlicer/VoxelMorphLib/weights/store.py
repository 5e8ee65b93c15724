"""Finds the weight file of a model, in the extension, the user's folder, the cache or on the web, and checks it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from ..core.errors import AccessError, ConfigError, OutputError, WeightsError
from ..core.io.paths import entries, is_file, is_folder
from ..core.progress import Progress, silent
from .catalogue import find_entry
from .download import download, part_path, tag_path
from .entry import ModelEntry, has_hypernetwork
from .folders import BUNDLED_FOLDER, default_cache_folder

_CHUNK = 1 << 22
#: Answers of `state`, what is still missing first.
_STATES = ("to download", "partly downloaded", "downloaded", "in your folder", "bundled")


def locate_weights(entry: ModelEntry, weights_dir: str | Path | None = None, progress: Progress = silent) -> Path:
    """The weight file of a model, its checksum verified; downloaded from its authors if it is nowhere else.

    Args:
        entry: the model; one that needs no weights is refused.
        weights_dir: folder with the user's copies, recognised by checksum whatever their names.
        progress: receives what is read or downloaded; may raise `Cancelled`.

    Raises:
        ConfigError: the model has no weights, or `weights_dir` is not a folder.
        WeightsError: a file is damaged, or cannot be fetched.
        OutputError: the cache folder cannot be written or the disk is full.
    """
    if entry.file is None:
        raise ConfigError(f"The model {entry.id} has no weights to look for. Run it without them.")
    bundled = BUNDLED_FOLDER / entry.file
    if is_file(bundled):
        if not matches(bundled, entry.bytes, entry.sha256, progress):
            raise WeightsError(f"{bundled} does not match its checksum in the catalogue. Reinstall the extension.")
        return bundled
    if weights_dir is not None:
        found = _find_in_folder(entry, Path(weights_dir), progress)
        if found is not None:
            return found
    return _find_in_cache(entry, progress) or _fetch(entry, progress)


def state(entry: ModelEntry, weights_dir: str | Path | None = None) -> str:
    """Where the weights are: "bundled", "in your folder", "downloaded", "partly downloaded" or "to download".

    A model without weights counts as bundled. What is bundled or downloaded is recognised by name and size only;
    whether it is intact is checked when it is used. Of a model of two files the one counts that is less at hand.

    Raises:
        ConfigError: `weights_dir` is not a folder.
    """
    entries = [entry] if entry.affine_model is None else [entry, find_entry(entry.affine_model)]
    return min((_state_of_file(one, weights_dir) for one in entries), key=_STATES.index)


def _state_of_file(entry: ModelEntry, weights_dir: str | Path | None) -> str:
    if entry.file is None or is_file(BUNDLED_FOLDER / entry.file):
        return "bundled"
    if weights_dir is not None and _is_in_folder(entry, Path(weights_dir)):
        return "in your folder"
    with suppress(AccessError, ConfigError):  # no home, or a locked one: told when the model is used
        cached = default_cache_folder() / entry.file
        if is_file(cached) and matches(cached, entry.bytes, None):
            return "downloaded"
        return "partly downloaded" if is_file(part_path(cached)) else "to download"
    return "to download"


def unfinished_bytes(entry: ModelEntry) -> int:
    """Bytes that a download which broke off or was cancelled left for the next attempt."""
    if entry.file is None:
        return 0
    part = part_path(default_cache_folder() / entry.file)
    return part.stat().st_size if is_file(part) else 0


def downloaded_files(entry: ModelEntry) -> list[Path]:
    """What a model left in the cache: its file, its pin, unfinished pieces, and small networks that were made of it."""
    if entry.file is None:
        return []
    path = default_cache_folder() / entry.file
    found = [file for file in (path, pin_path(path), part_path(path), tag_path(path)) if is_file(file)]
    return found + kept_files(entry)


def kept_path(entry: ModelEntry, regularisation: float) -> Path:
    """Where the small network of a hypernetwork's file is kept for one regularity; see `specialised`."""
    return default_cache_folder() / f"{_kept_prefix(entry)}{regularisation:.4g}.safetensors"


def kept_files(entry: ModelEntry) -> list[Path]:
    """The small networks of a hypernetwork's file that are kept, the oldest first."""
    folder = default_cache_folder()
    if not has_hypernetwork(entry) or not is_folder(folder):
        return []
    found = [path for path in entries(folder) if path.name.startswith(_kept_prefix(entry))]
    return sorted((path for path in found if path.suffix == ".safetensors"), key=lambda path: path.stat().st_mtime_ns)


def _kept_prefix(entry: ModelEntry) -> str:
    """Another version of a file has another checksum, and so what was made of it another name."""
    files = [entry] if entry.affine_model is None else [entry, find_entry(entry.affine_model)]
    return "-".join([entry.id, *((file.sha256 or "unknown")[:8] for file in files), ""])


def pin_notice(entry: ModelEntry | None) -> str | None:
    """The notice for the first use of a model whose authors publish no checksum; None if no checksum was kept."""
    if entry is None or entry.file is None or entry.sha256 is not None:
        return None
    path = default_cache_folder() / entry.file
    return _notice(path, read_pin(path)) if is_file(pin_path(path)) else None


def delete_downloaded(entry: ModelEntry) -> bool:
    """Remove a model from the cache, unfinished downloads included; the extension's and user's folders stay.

    Returns:
        Whether there was anything to remove.

    Raises:
        OutputError: a file cannot be removed.
    """
    present = downloaded_files(entry)
    try:
        for file in present:
            file.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be removed ({error.strerror}). Close what uses it.") from error
    return bool(present)


def _find_in_folder(entry: ModelEntry, folder: Path, progress: Progress) -> Path | None:
    if not is_folder(folder):
        raise ConfigError(f"The weights folder {folder} is no folder. Give an existing one or none.")
    named = folder / str(entry.file)
    if entry.sha256 is None:
        return named if is_file(named) and matches(named, entry.bytes, None) else None
    # The file of the expected name comes first, so that a large folder is not read through without need.
    others = sorted(path for path in entries(folder) if is_file(path) and path != named)
    for path in [named] * is_file(named) + others:
        if path.stat().st_size == (entry.bytes or path.stat().st_size) and sha256_of(path, progress) == entry.sha256:
            return path
    if is_file(named):
        raise WeightsError(
            f"{named} does not match its checksum in the catalogue ({entry.bytes} bytes, sha256 {entry.sha256}). "
            "Replace it by a fresh copy, or remove it."
        )
    return None


def _is_in_folder(entry: ModelEntry, folder: Path) -> bool:
    try:
        return _find_in_folder(entry, folder, silent) is not None
    except (AccessError, WeightsError):  # damaged or not readable, which is reported when it is used
        return False


def _find_in_cache(entry: ModelEntry, progress: Progress) -> Path | None:
    path = default_cache_folder() / str(entry.file)
    if not is_file(path):
        return None
    expected = entry.sha256 or read_pin(path)
    if not matches(path, entry.bytes, expected, progress):
        if entry.url is None:
            raise WeightsError(f"{path} does not match its checksum in the catalogue. Replace it by a fresh copy.")
        progress(0.0, f"{path} is damaged and is fetched again")
        return None
    if expected is None:
        _pin(entry, path, sha256_of(path, progress), progress)
    return path


def _fetch(entry: ModelEntry, progress: Progress) -> Path:
    path = default_cache_folder() / str(entry.file)
    if entry.url is None:
        raise WeightsError(f"The weights of {entry.id} are missing: put {entry.file} at {path}.")
    expected = entry.sha256 or read_pin(path)
    found = download(entry.url, path, entry.bytes, expected, progress)
    if expected is None:
        _pin(entry, path, found, progress)
    return path


def _pin(entry: ModelEntry, path: Path, sha256: str, progress: Progress) -> None:
    write_pin(path, sha256, entry.url)
    progress(1.0, _notice(path, sha256))


def _notice(path: Path, sha256: str | None) -> str:
    return (
        f"Nobody published a checksum of {path.name}, so its first download could not be checked; from now on it must "
        f"stay {sha256}."
    )


def sha256_of(path: Path, progress: Progress = silent) -> str:
    """SHA-256 of a file, 64 lower-case hexadecimal digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    try:
        size = max(path.stat().st_size, 1)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(done / size, f"Checking {path.name}")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}). Check its permissions.") from error
    return digest.hexdigest()


def matches(path: Path, size: int | None, sha256: str | None, progress: Progress = silent) -> bool:
    """Whether a file has this size and checksum; None is not compared. The size is compared first."""
    if size is not None and path.stat().st_size != size:
        return False
    return sha256 is None or sha256_of(path, progress) == sha256


def pin_path(path: Path) -> Path:
    """File beside a weight file that keeps the checksum of its first download."""
    return path.with_name(f"{path.name}.pin.json")


def read_pin(path: Path) -> str | None:
    """Checksum kept at the first download of `path`, None when there is none.

    Raises:
        WeightsError: the pin file is damaged.
    """
    pin = pin_path(path)
    if not is_file(pin):
        return None
    try:
        return str(json.loads(pin.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{pin} is damaged. Delete it and {path.name}, then choose the model again.") from error


def write_pin(path: Path, sha256: str, source: str | None) -> None:
    """Keep the checksum of a file whose authors publish none.

    Raises:
        OutputError: the folder cannot be written.
    """
    pin = pin_path(path)
    content = json.dumps({"sha256": sha256, "bytes": path.stat().st_size, "source": source}, indent=2)
    temporary = pin.with_name(f"{pin.name}.{os.getpid()}")
    try:
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(pin)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{pin} cannot be written ({error.strerror}). Check the folder.") from error
