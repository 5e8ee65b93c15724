"""Whether the limits that were set for a process (`ulimit -v`, `ulimit -u`) let its libraries be loaded at all."""

from __future__ import annotations

import threading

from .errors import DeviceError

#: Bytes of addresses that a process needs. Without any volume, libraries abort the process up to about 1 GiB, and
#: NumPy's tries again for ever at 0.2 GiB.
LEAST_ADDRESSES = 3 * 2**29


def check_process_limits() -> None:
    """Refuse to go on before NumPy and the other libraries are loaded, which would abort or try again for ever.

    Raises:
        DeviceError: this process may have too little memory, or no second thread.
    """
    limit = _address_limit()
    if limit is not None and limit < LEAST_ADDRESSES:
        raise DeviceError(
            f"This process may have {limit / 2**30:.2g} GiB of memory (ulimit -v), and the libraries need "
            f"{LEAST_ADDRESSES / 2**30:.2g} GiB before anything is read. Raise that limit."
        )
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except RuntimeError as error:
        raise DeviceError(
            "No further process or thread is allowed (ulimit -u). Raise that limit, or close other programs."
        ) from error
    thread.join()


def _address_limit() -> int | None:
    """Bytes; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
