"""The largest resident memory that this process has had, for children whose whole life is measured."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Bytes since this program began.

    On Linux the process accounting of a child begins with the memory of the parent that forked it, however short that
    moment was; the high-water mark of the address space begins with the program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
