"""Locks between processes, so that what several do to one folder happens one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Handles of the locks of this process, which processes that it forks must not keep.
_held: set[int] = set()
_PAUSE_S = 0.05


@contextmanager
def locked(path: Path, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold the lock of a folder, or a lock file that is made and removed again.

    A process that ends in whatever way releases its locks. Where the file system knows no locks, nothing is locked.

    Args:
        path: an existing folder, which leaves no trace, or a file in one.
        wait_s: how long to wait for others.
        waiting: called now and then while others hold it; may raise to give up.

    Yields:
        Whether others were kept out in time.
    """
    handle, until = None, time.monotonic() + wait_s
    while True:
        try:
            handle, is_free = _attempt(path)
        except OSError:  # a file system without locks, or a folder that cannot be written: whoever writes hears of it
            handle, is_free = None, True
        if is_free or time.monotonic() > until:
            break
        waiting()
        time.sleep(_PAUSE_S)
    try:
        yield is_free
    finally:
        if handle is not None:
            _release(handle, path)


def _attempt(path: Path) -> tuple[int | None, bool]:
    """The handle of the lock, None without one, and whether nobody else holds it."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":  # where folders cannot be opened
        return None, True
    handle = os.open(path, os.O_RDONLY) if is_folder else os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(handle)
    try:
        if _lock(handle) and (is_folder or _is_still(path, handle)):
            return handle, True
    except BaseException:
        _close(handle)
        raise
    _close(handle)
    return None, False


def _lock(handle: int) -> bool:
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, handle: int) -> bool:
    """Whether the locked file has not been removed by the one who held the lock before."""
    if os.name == "nt":  # where open files cannot be removed
        return True
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _release(handle: int, path: Path) -> None:
    if not path.is_dir():
        with suppress(OSError):  # on Windows somebody may have it open; then it stays, empty
            path.unlink()
    _close(handle)


def _close(handle: int) -> None:
    _held.discard(handle)
    with suppress(OSError):
        os.close(handle)


def _forget() -> None:
    for handle in list(_held):
        _close(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
