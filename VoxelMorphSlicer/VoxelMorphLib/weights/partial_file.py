"""PartialFile: a download on disk until it is complete, with the checksum of what it holds so far."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from types import TracebackType

from ..core.errors import OutputError

_CHUNK = 1 << 22


def part_path(path: Path) -> Path:
    """File that holds the bytes of `path` until they are complete."""
    return path.with_name(f"{path.name}.part")


def tag_path(path: Path) -> Path:
    """File that keeps which version of `path` those bytes belong to."""
    return path.with_name(f"{path.name}.part.tag")


class PartialFile:
    """`<name>.part` beside the wanted file; whatever an earlier attempt left there is continued.

    Args:
        path: where the complete file will stand; its folder is created.

    Raises:
        OutputError: the folder or the file cannot be written.
    """

    def __init__(self, path: Path):
        self.target = path
        self.path = part_path(path)
        self._validator = tag_path(path)
        self._hash = hashlib.sha256()
        self.size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self._file = self.path.open("r+b")
            while chunk := self._file.read(_CHUNK):
                self._hash.update(chunk)
                self.size += len(chunk)
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self.size == 0:
            self.discard()

    @property
    def sha256(self) -> str:
        """Checksum of the bytes so far."""
        return self._hash.hexdigest()

    @property
    def validator(self) -> str:
        """What the server called this version of the file when the download began (ETag or date), or ""."""
        return self._validator.read_text(encoding="utf-8", errors="replace") if self._validator.is_file() else ""

    def restart(self, validator: str = "") -> None:
        """Drop the bytes so far; the next ones belong to the version `validator`."""
        try:
            self._file.seek(0)
            self._file.truncate()
            self._validator.write_text(validator, encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error
        self._hash, self.size = hashlib.sha256(), 0

    def append(self, chunk: bytes) -> None:
        """Add bytes; on a full disk everything so far is removed.

        Raises:
            OutputError: the disk is full or the file cannot be written.
        """
        try:
            self._file.write(chunk)
            self._file.flush()
        except OSError as error:
            self.discard()
            raise self._unwritable(error) from error
        self._hash.update(chunk)
        self.size += len(chunk)

    def discard(self) -> None:
        """Remove the file and everything noted about it."""
        with contextlib.suppress(OSError):  # closing writes what a full disk refused before
            self._file.close()
        self.path.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def complete(self) -> None:
        """Give the file its final name; another process that fetched the same file may have done so already.

        Raises:
            OutputError: the file cannot be renamed.
        """
        self._file.close()
        try:
            if self.path.is_file() or not self.target.is_file():
                self.path.replace(self.target)
            self._validator.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written ({error.strerror}). Free space on the disk, "
            "or set VXM_CACHE to a folder that can be written."
        )
