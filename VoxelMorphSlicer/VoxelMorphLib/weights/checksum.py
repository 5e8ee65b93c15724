"""Checksums of weight files: computing them, comparing them, and keeping those that nobody published."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ..core.errors import OutputError, WeightsError
from ..core.progress import Progress, silent

_CHUNK = 1 << 22


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
    """Whether a file has this size and checksum; what is None is not compared. The size is looked at first."""
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
    if not pin.is_file():
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
