"""Progress reporting and cancellation: a plain callback that long work calls at safe points."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the finished fraction (0 to 1) and a short text; may raise `Cancelled` to stop the work.
Progress = Callable[[float, str], None]


def silent(_fraction: float, _text: str) -> None:
    """A `Progress` that does nothing."""


def span(progress: Progress, start: float, stop: float) -> Progress:
    """Map the 0..1 of one stage onto start..stop of the whole.

    Args:
        progress: receiver of the mapped fractions.
        start: fraction of the whole at which the stage begins.
        stop: fraction of the whole at which the stage ends.
    """

    def report(fraction: float, text: str) -> None:
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), text)

    return report
