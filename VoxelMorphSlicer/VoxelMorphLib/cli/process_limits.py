"""Whether the limits that were set for a command (`ulimit -v`, `ulimit -u`) let its libraries be loaded at all."""

from __future__ import annotations

import sys
import threading
from typing import NoReturn

#: Bytes of addresses that a command needs. Without any volume, libraries abort the process up to about 1 GiB, and
#: NumPy's tries again for ever at 0.2 GiB.
LEAST_ADDRESSES = 3 * 2**29
BAD_INPUT = 2


def check_process_limits() -> None:
    """End the process with one sentence where it may have too little memory, or no second thread."""
    limit = _address_limit()
    if limit is not None and limit < LEAST_ADDRESSES:
        _refuse(
            f"This shell allows a process {limit / 2**30:.2g} GiB of memory (ulimit -v), and the libraries need "
            f"{LEAST_ADDRESSES / 2**30:.2g} GiB before anything is read. Raise that limit."
        )
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except RuntimeError:
        _refuse(
            "This shell allows no further process or thread (ulimit -u). Raise that limit, or close other programs."
        )
    thread.join()


def _address_limit() -> int | None:
    """Bytes; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _refuse(sentence: str) -> NoReturn:
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(BAD_INPUT)
