"""What there is under a path: answers, or one sentence where the system refuses one.

The methods of `pathlib.Path` raise on folders that may not be entered, on names that are too long and without a home.
"""

from __future__ import annotations

import errno
from os import PathLike
from pathlib import Path

from ..errors import AccessError

#: Errors that mean that nothing can be there.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


def is_file(path: PathLike[str] | str) -> bool:
    """Whether there is a file, or a link to one.

    Raises:
        AccessError: a folder on the way may not be entered.
    """
    return _answer(path, "is_file")


def is_folder(path: PathLike[str] | str) -> bool:
    """Whether there is a folder, or a link to one; otherwise as `is_file`."""
    return _answer(path, "is_dir")


def exists(path: PathLike[str] | str) -> bool:
    """Whether there is anything; otherwise as `is_file`."""
    return _answer(path, "exists")


def entries(folder: Path | str) -> list[Path]:
    """What a folder holds, in the order of the names.

    Raises:
        AccessError: it may not be read, or is none.
    """
    try:
        return sorted(Path(folder).iterdir())
    except OSError as error:
        raise _refusal(folder, error) from error


def expanded(path: PathLike[str] | str) -> Path:
    """The path with a leading ~ or ~user replaced by the home folder.

    Raises:
        AccessError: there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise AccessError(f"{path}: there is no home folder of that name here. Give the whole path.") from error


def _answer(path: PathLike[str] | str, question: str) -> bool:
    try:
        return bool(getattr(Path(path), question)())
    except ValueError:  # a NUL character in the name
        return False
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise _refusal(path, error) from error


def _refusal(path: PathLike[str] | str, error: OSError) -> AccessError:
    return AccessError(f"{path} cannot be looked at ({error.strerror}). Allow reading there, or choose another place.")
