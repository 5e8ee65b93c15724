"""Input and output files: checked before long computations, written completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import GeometryError, OutputError, VoxelMorphError
from .companions import check_companion, companion
from .locks import locked
from .scratch import make_scratch_folder

#: Deflate cannot compress by more than 1032 (zlib technical notes); a file that claims more is damaged.
LARGEST_COMPRESSION = 1100
#: How long to wait for another process that puts files into the same folder.
_TURN_S = 30.0


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
        VoxelMorphError: of class `error`; the file is missing, a folder, a pipe or device, empty or not readable.
    """
    path = _spelled(path, error)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise error(f"{path} is a folder. Choose a file in it.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for somebody to write into it
            raise error(f"{path} is no ordinary file but a pipe or device. Save it as a file.")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise error(f"{path} is empty (0 bytes). Export or copy it again.")
    except FileNotFoundError:
        raise error(f"{path} does not exist. Check the name and the folder.") from None
    except VoxelMorphError:  # of the class `error`, some of which are OSError or ValueError too
        raise
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
        path: file to be written; a link is followed.
        bytes_needed: expected size.

    Raises:
        OutputError: the folder is missing, read-only or full, the name is too long, or `path` is a folder, pipe,
            device, write-protected or the header of somebody else's voxels.
    """
    path = _spelled(path, OutputError)
    target = _target(path)
    _check_replaceable(path)
    if not _is_folder(target.parent):
        raise OutputError(f"{path} cannot be written: the folder {target.parent} does not exist. Create it first.")
    check_companion(path)
    with _scratch_folder(target) as folder:
        _check_name(folder, path)
        free = shutil.disk_usage(target.parent).free
    if free < bytes_needed:
        raise OutputError(
            f"{path} needs about {bytes_needed / 1e6:.0f} MB but the disk has {free / 1e6:.0f} MB left. "
            "Free some space or choose another folder."
        )
    return path


def make_folder(folder: Path, remedy: str, what: str = "") -> Path:
    """Make a folder, and those above it, where they do not exist yet.

    Args:
        folder: to be there.
        remedy: sentence that says what to do where it cannot be made.
        what: it is, in words before its name.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        name = f"{what} {folder}".lstrip()
        raise OutputError(f"{name} cannot be made ({error.strerror or error}). {remedy}") from error
    return folder


@contextmanager
def replacing(path: Path | str, bytes_needed: int = 0) -> Iterator[Path]:
    """Yield a path in a scratch folder beside `path`; files written there are moved into place at the end.

    Its extension is in lower case, as some libraries want it. A link is followed, and a replaced file hands its
    permissions on. Companion files (the data of .nhdr and .mhd) are moved first, so a header never refers to missing
    data, and no other process moves its own between them.
    After an error, including a full disk, no new file remains and an older one is unchanged.

    Raises:
        OutputError: as `check_writable`, or the disk fills up or fails while writing.
    """
    path = check_writable(path, bytes_needed)
    target = _target(path)
    with _scratch_folder(target) as folder:
        scratch = folder / _lower_extension(path.name)
        try:
            yield scratch
            with locked(target.parent, _TURN_S):
                _move(scratch, target)
        except VoxelMorphError as error:
            _rename_in_message(error, {scratch: path, folder: path.parent})
            raise
        except OSError as cause:
            raise OutputError(f"{path} could not be written: {_reason(cause)}. {_remedy(cause)}") from cause


def _move(scratch: Path, target: Path) -> None:
    """Move all files of the scratch folder beside the target, the header last."""
    for written in sorted(scratch.parent.iterdir(), key=lambda file: file == scratch):
        place = target if written == scratch else target.parent / written.name
        if place.exists():
            shutil.copymode(place, written)
        written.replace(place)


def _target(path: Path) -> Path:
    """The file that a link leads to, or the path itself."""
    try:
        return Path(os.path.realpath(path)) if path.is_symlink() else path
    except OSError as cause:
        raise OutputError(f"{path} cannot be written ({_reason(cause)}). Check its name and permissions.") from cause


def _check_replaceable(path: Path) -> None:
    """Only ordinary files that may be written to are replaced."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as cause:
        raise OutputError(f"{path} cannot be written ({_reason(cause)}). Check its name and permissions.") from cause
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} is a folder. Give the name of a file in it.")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path} is no ordinary file but a pipe or device. Give the name of a file.")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{path} is write-protected. Give another name, or allow writing to it.")
    if path.is_symlink() and companion(path) is not None:
        raise OutputError(f"{path} is a link, but its voxels go into a second file. Give the name of the file itself.")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as cause:
        raise OutputError(f"{path} cannot be looked into ({_reason(cause)}). Check its permissions.") from cause


def _check_name(folder: Path, path: Path) -> None:
    """Try the name in a scratch folder."""
    try:
        (folder / path.name).touch()
    except OSError as cause:
        raise OutputError(f"{path} cannot be written ({_reason(cause)}). Give another name.") from cause


def _lower_extension(name: str) -> str:
    kind = extension(name)
    return name[: len(name) - len(kind)] + kind


def _rename_in_message(error: VoxelMorphError, names: dict[Path, Path]) -> None:
    """Let a message name what the user knows instead of scratch files."""
    if not error.args:
        return
    text = str(error.args[0])
    for scratch, shown in names.items():
        text = text.replace(str(scratch), str(shown))
    error.args = (text, *error.args[1:])


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
    if "\0" in str(path):
        shown = str(path).replace("\0", "\\0")
        raise error(f"{shown} has a NUL character in its name, which no file can have. Give another name.")
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(path).encode("ascii", "backslashreplace").decode("ascii")
        if _is_utf8(path):
            raise error(f"{shown} cannot be named where Python reads no UTF-8. Set PYTHONUTF8=1.") from None
        raise error(f"{shown} has a name that is not UTF-8. Rename it, or the folder that is.") from None
    return Path(path)


def _is_utf8(path: Path | str) -> bool:
    """Whether the bytes of a name are UTF-8, whatever the encoding that Python took from the environment."""
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeError:
        return False
    return True


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause)


def _remedy(cause: OSError) -> str:
    return "Free some space." if cause.errno == errno.ENOSPC else "Check the folder and try again."
