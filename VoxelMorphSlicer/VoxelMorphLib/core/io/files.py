"""Input and output files: checked before long computations, written completely or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import GeometryError, OutputError, VoxelMorphError
from .scratch import make_scratch_folder

#: Deflate cannot compress by more than 1032 (zlib technical notes); a file that claims more is damaged.
LARGEST_COMPRESSION = 1100


def extension(path: Path | str) -> str:
    """Lower-case extension with its dot; ".nii.gz" counts as one."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes[-1:] == [".gz"]:
        return "".join(suffixes[-2:])
    return suffixes[-1] if suffixes else ""


def check_readable(path: Path | str, error: type[VoxelMorphError]) -> Path:
    """The path of an existing, non-empty file.

    Args:
        path: any text or path.
        error: class to raise, depending on the expected content.

    Raises:
        VoxelMorphError: of class `error`; the file is missing, a folder, empty or not readable.
    """
    path = _spelled(path, error)
    try:
        if path.is_dir():
            raise error(f"{path} is a folder. Choose a file in it.")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise error(f"{path} is empty (0 bytes). Export or copy it again.")
    except FileNotFoundError:
        raise error(f"{path} does not exist. Check the name and the folder.") from None
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be opened ({_reason(cause)}). Check its name and permissions.") from cause
    return path


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Prefix the file's name to a `GeometryError` that does not mention it."""
    try:
        yield
    except GeometryError as cause:
        if str(path) in str(cause):
            raise
        raise GeometryError(f"{path}: {cause}") from cause


def check_writable(path: Path | str, bytes_needed: int = 0) -> Path:
    """Check that a result can be written, without leaving anything behind.

    Args:
        path: file to be written.
        bytes_needed: expected size.

    Raises:
        OutputError: the folder is missing, read-only or full, or `path` is itself a folder.
    """
    path = _spelled(path, OutputError)
    if path.is_dir():
        raise OutputError(f"{path} is a folder. Give the name of a file in it.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist. Create it first.")
    with _scratch_folder(path):
        free = shutil.disk_usage(path.parent).free
    if free < bytes_needed:
        raise OutputError(
            f"{path} needs about {bytes_needed / 1e6:.0f} MB but the disk has {free / 1e6:.0f} MB left. "
            "Free some space or choose another folder."
        )
    return path


@contextmanager
def replacing(path: Path | str, bytes_needed: int = 0) -> Iterator[Path]:
    """Yield a path in a scratch folder beside `path`; files written there are moved into place at the end.

    Companion files (the data of .nhdr and .mhd) are moved first, so a header never refers to missing data.
    After an error, including a full disk, no new file remains and an older one is unchanged.

    Raises:
        OutputError: as `check_writable`, or the disk fills up or fails while writing.
    """
    path = check_writable(path, bytes_needed)
    with _scratch_folder(path) as folder:
        try:
            yield folder / path.name
            for written in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
                written.replace(path.parent / written.name)
        except OSError as cause:
            if isinstance(cause, VoxelMorphError):
                raise
            raise OutputError(f"{path} could not be written: {_reason(cause)}. {_remedy(cause)}") from cause


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    try:
        folder = make_scratch_folder(path.parent, ".voxelmorph-")
    except OSError as cause:
        raise OutputError(
            f"{path} cannot be written: the folder {path.parent} does not accept files ({_reason(cause)}). "
            "Choose another folder."
        ) from cause
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spelled(path: Path | str, error: type[VoxelMorphError]) -> Path:
    """The path; ITK aborts the whole process on names whose bytes are not UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(path).encode("ascii", "backslashreplace").decode("ascii")
        raise error(f"{shown} has a name that is not UTF-8. Rename it, or the folder that is.") from None
    return Path(path)


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause)


def _remedy(cause: OSError) -> str:
    return "Free some space." if cause.errno == errno.ENOSPC else "Check the folder and try again."
