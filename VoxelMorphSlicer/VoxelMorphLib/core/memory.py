"""The memory of this computer: how much is free, and how errors tell that it did not suffice."""

from __future__ import annotations

import errno
from pathlib import Path

from .errors import MemoryShortError
from .io.paths import is_file

#: Of the control group that this process belongs to.
_GROUP = Path("/sys/fs/cgroup")
#: Bytes below which nothing works any more.
LEAST_FREE = 100 * 2**20
#: By these words torch, ITK, the loader of libraries and threads tell it.
_WORDS = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "bad alloc",
    "bad_alloc",
    "failed to allocate",
    "cannot allocate",
    "start new thread",
    "failed to map segment",
)


def free_memory() -> int | None:
    """Bytes that this process can still take; None where that is unknown."""
    known = (_linux_available(), _group_available(), _limit_left())
    return min((value for value in known if value is not None), default=None)


def check_memory(path: Path, needed: int) -> None:
    """Refuse a file whose contents do not fit, before they are read.

    Args:
        path: of the file.
        needed: bytes of its contents.

    Raises:
        MemoryShortError: less is free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise MemoryShortError(
            f"{path} needs {needed / 2**30:.2g} GiB of memory, but {free / 2**30:.2g} GiB are free. Crop or downsample "
            "the volume, or close other programs."
        )


def is_memory_full() -> bool:
    """Whether nearly nothing is free; libraries raise almost anything then."""
    free = free_memory()
    return free is not None and free < LEAST_FREE


def is_memory_shortage(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that memory or another resource of the computer did not suffice."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return any(map(_says_so, seen))


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "MemoryShortError"):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, (RuntimeError, ImportError, OSError)) and any(w in str(error).lower() for w in _WORDS)


def _linux_available() -> int | None:
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if is_file(file) else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _group_available() -> int | None:
    """What a container's limit leaves (Linux control groups, version 2); the page cache counts as free."""
    limit, used, parts = (_GROUP / name for name in ("memory.max", "memory.current", "memory.stat"))
    try:
        lines = dict(line.split() for line in parts.read_text().splitlines())
        return int(limit.read_text()) - int(used.read_text()) + int(lines.get("inactive_file", 0))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return None


def _limit_left() -> int | None:
    """What the limit of this process (`ulimit -v`) leaves."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return max(limit - pages * resource.getpagesize(), 0)
    except (ImportError, OSError, ValueError):  # Windows has no such limit
        return None
