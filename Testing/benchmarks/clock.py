"""Times of several functions measured in turns, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Work = Callable[[], object]
Times = dict[str, list[float]]


def wall_seconds(work: Work) -> float:
    """Elapsed time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def processor_seconds(work: Work) -> float:
    """Time of one call summed over all processor cores; other programs do not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cuda_seconds(work: Work) -> float:
    """Time of one call on the GPU between two events."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    began.record()
    work()
    ended.record()
    torch.cuda.synchronize()
    return began.elapsed_time(ended) / 1000


def interleaved(
    works: Mapping[str, Work],
    repeats: int,
    measure: Callable[[Work], float] = wall_seconds,
    gradients: bool = False,
) -> Times:
    """Run every function once to warm up, then all of them in turns.

    Args:
        works: by name.
        repeats: rounds that count.
        measure: seconds of one call.
        gradients: call them as in a training instead of under `torch.inference_mode`.

    Returns:
        Seconds of every round by name.
    """
    times: Times = {name: [] for name in works}
    with torch.inference_mode(not gradients):
        for work in works.values():
            work()
        for _ in range(repeats):
            for name, work in works.items():
                times[name].append(measure(work))
    return times


def median(values: list[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def median_ratio(times: Times, over: str, under: str) -> float:
    """The middle of the ratios of single rounds."""
    return median([one / other for one, other in zip(times[over], times[under])])
