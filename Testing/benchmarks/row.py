"""Row: one measured number with what it is compared to; and the table that a run of them makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the results.

    Args:
        topic: which benchmark it belongs to.
        name: what was measured.
        value: the median, or the best round where the note says so; None when it could not be measured.
        unit: of the value.
        against: what `ratio` is a multiple of.
        ratio: median over the rounds of (value / reference), each round measured back to back; of the best rounds where
            the value is from one.
        note: conditions, or the reason why there is no value.
    """

    topic: str
    name: str
    value: float | None = None
    unit: str = ""
    against: str = ""
    ratio: float | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """Texts of a table line."""
        value = "skipped" if self.value is None else f"{_rounded(self.value)} {self.unit}".strip()
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x {self.against}"
        return self.topic, self.name, value, ratio, self.note


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [("Benchmark", "Measured", "Result", "Compared", "Conditions"), ("---",) * 5]
    lines += [row.cells() for row in rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _rounded(value: float) -> str:
    """At most three significant digits, without exponent between 0.001 and 10000."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.2e}"
