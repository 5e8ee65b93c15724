"""What every program's script shares: it reads a job, leaves files of transforms, and says what they cost.

The scripts run in the interpreter that has the program, which has neither our library nor necessarily NumPy: this file
needs Python alone.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One registration.

    Args:
        fixed, moving: image files, each on its own grid.
        folder: where files may be written.
        threads: how many may compute.
        multimodal: the two images show different contrasts.
        options: of the method.
        start: what the method begins with: `matrix` (4, 4) of RAS mm, fixed -> moving; of an affine start also
            `forward`, its files, and `moved`, the moving image on the fixed grid by it.
    """

    fixed: str
    moving: str
    folder: str
    threads: int = 1
    multimodal: bool = False
    options: dict | None = None
    start: dict | None = None

    def file(self, name: str) -> str:
        """A path in the folder of the job."""
        return str(Path(self.folder) / name)


@dataclass(frozen=True)
class Part:
    """A file of a transform, or its inverse."""

    file: str
    inverted: bool = False


@dataclass(frozen=True)
class Maps:
    """What a program found.

    Args:
        forward: parts of the map fixed -> moving of points, applied first to last.
        inverse: parts of the map moving -> fixed; None where the program gives none.
        moved: file of the moved image, where a method that follows needs it.
    """

    forward: list[Part]
    inverse: list[Part] | None = None
    moved: str = ""


def run(work: Callable[[Job], Maps], *packages: str) -> None:
    """Do the job named on the command line and write `result.json` beside it.

    Args:
        work: registers; imports of the program are done before, as only what follows counts as its time.
        packages: whose versions are told.
    """
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    began = _cpu_seconds()
    maps = work(job)
    result = {
        "forward": [vars(part) for part in maps.forward],
        "inverse": None if maps.inverse is None else [vars(part) for part in maps.inverse],
        "moved": maps.moved,
        "cpu_s": _cpu_seconds() - began,
        "imports_s": began,
        "peak_bytes": _peak_bytes(),
        "versions": {name: version(name) for name in packages},
    }
    Path(job.file("result.json")).write_text(json.dumps(result), encoding="utf-8")


def write_affine(path: str, ras: list[list[float]]) -> str:
    """Write a (4, 4) matrix of RAS mm as an ITK transform file, which holds LPS."""
    signs = (-1, -1, 1)
    rows = range(3)
    matrix = [signs[i] * signs[j] * ras[i][j] for i in rows for j in rows]
    numbers = " ".join(repr(float(value)) for value in [*matrix, *(signs[i] * ras[i][3] for i in rows)])
    Path(path).write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n",
        encoding="ascii",
    )
    return path


def _cpu_seconds() -> float:
    """Of this process and its ended children, all threads."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_bytes() -> int:
    """Largest resident memory of this process; on Linux the usual count would begin with the parent's memory."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
