"""Steps of a training per second on one thread of the CPU, and the memory that they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .child import run_child
from .clock import interleaved, processor_seconds, wall_seconds
from .row import Row
from .settings import Settings
from .training_subjects import (
    AS_THE_OTHER,
    OTHER,
    OURS,
    count_multiply_adds,
    levels_for,
    make_step,
    missing_package,
    network_named,
)

#: Grids and batch sizes. The first is that of the hippocampus; on the second the other network has all its levels.
CASES = (((48, 64, 48), 1), ((48, 64, 48), 2), ((64, 64, 64), 1))

_STEPS = """
import sys
from benchmarks.training_subjects import make_step
name, batch, steps, *shape = sys.argv[1:]
step = make_step(name, tuple(map(int, shape)), int(batch))
for _ in range(int(steps)):
    step()
seconds = 0.0
"""


@dataclass(frozen=True)
class Pace:
    """Seconds of one step, the least of all rounds; wall is disturbed by other programs."""

    processor: float
    wall: float


def measure_steps(settings: Settings) -> list[Row]:
    """Our steps against those of `VxmPairwise`, in turns."""
    torch.set_num_threads(1)
    reason = missing_package()
    subjects = (OURS, AS_THE_OTHER) if reason else (OURS, AS_THE_OTHER, OTHER)
    rows = [row for shape, batch in CASES for row in _steps(subjects, shape, batch, settings.repeats)]
    rows += [_memory(name, *case) for case in CASES[:2] for name in subjects]
    return [*rows, Row("training", OTHER, note=reason)] if reason else rows


def _steps(subjects: tuple[str, ...], shape: tuple[int, ...], batch: int, repeats: int) -> list[Row]:
    paces = measure_paces({name: make_step(name, shape, batch) for name in subjects}, repeats)
    size = f"{'x'.join(map(str, shape))}, batch {batch}"
    rows = []
    for name, pace in paces.items():
        work = count_multiply_adds(network_named(name, levels_for(shape)), shape) / 1e9
        note = f"1 thread, best of {repeats}; {1 / pace.wall:.2f} by the clock on the wall"
        rows.append(
            Row(
                "training",
                f"{name}, {size}, {work:.3f} G multiply-adds in convolutions",
                1 / pace.processor,
                "steps/s CPU",
                "" if name == OTHER or OTHER not in paces else "VxmPairwise",
                None if name == OTHER or OTHER not in paces else paces[OTHER].processor / pace.processor,
                note,
            )
        )
    return rows


def measure_paces(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, Pace]:
    """The least seconds of every function, all of them run in turns."""
    wall: dict[str, list[float]] = {name: [] for name in steps}

    def timed(name: str) -> Callable[[], None]:
        return lambda: wall[name].append(wall_seconds(steps[name]))

    times = interleaved({name: timed(name) for name in steps}, repeats, processor_seconds, gradients=True)
    return {name: Pace(min(times[name]), min(wall[name][1:])) for name in steps}


def _memory(name: str, shape: tuple[int, ...], batch: int) -> Row:
    """What three steps add to the peak of a process that has made everything ready for them."""
    idle, busy = (run_child(_STEPS, [name, str(batch), str(steps), *map(str, shape)])["peak_bytes"] for steps in (0, 3))
    note = f"{'x'.join(map(str, shape))}, batch {batch}, 1 thread; {busy / 1e6:.0f} MB with the whole process"
    return Row("training", f"memory of the steps, {name}", (busy - idle) / 1e6, "MB peak", note=note)
