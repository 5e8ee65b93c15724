"""Scratch folders that name their process, so that a later one removes what a killed one left."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path

from .paths import exists


def make_scratch_folder(parent: Path | str | None, prefix: str) -> Path:
    """Make a folder that nobody else uses, after those of processes that are dead were removed.

    Args:
        parent: an existing folder; None for the system's temporary one.
        prefix: of the name.

    Raises:
        OSError: the folder cannot be made.
    """
    parent = Path(parent or tempfile.gettempdir())
    _remove_dead(parent.absolute(), prefix, os.getpid())
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{_machine()}-{os.getpid()}-", dir=parent))


@functools.lru_cache(maxsize=64)
def _remove_dead(parent: Path, prefix: str, _process: int) -> None:
    """Remove the folders of dead processes of this machine; once for each folder and process, which may be large."""
    named = re.compile(rf"{re.escape(prefix)}{_machine()}-(\d+)-\w+")
    try:
        with os.scandir(parent) as entries:
            folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # whoever makes a folder there will hear of it
        return
    for folder in folders:
        match = named.fullmatch(folder.name)
        if match and not is_running(int(match[1])):
            shutil.rmtree(folder.path, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder even while somebody still writes into it; what cannot be removed stays."""
    for _attempt in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not exists(folder):
            return
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    if os.name == "nt":
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _runs_on_windows(process: int) -> bool:
    """There os.kill would end it."""
    import ctypes

    synchronize, timed_out = 0x00100000, 0x102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronize, False, process)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == timed_out)
    finally:
        kernel.CloseHandle(handle)


@functools.lru_cache(maxsize=1)
def _machine() -> str:
    """Where process numbers mean the same: the host, and the container on it."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        container = ""
    return hashlib.sha256(f"{platform.node()} {container}".encode()).hexdigest()[:8]
