"""Rows of measures before and after a registration: in cells with units, in an order, and in one line of words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLUMNS = ("Measure", "Structure", "Before", "After")
CORRELATION, INFORMATION = "Correlation (-1 to 1)", "Mutual information"
CORRELATION_BACK, INFORMATION_BACK = "Correlation, fixed to moving (-1 to 1)", "Mutual information, fixed to moving"
DICE, BACK = "Dice overlap (0 to 1)", "Dice overlap, fixed to moving (0 to 1)"
HAUSDORFF, SURFACE = "95 % Hausdorff distance", "Mean surface distance"
VOLUME = "Volume similarity (0 to 1)"
LANDMARKS = "Landmark error"
FOLDED, JACOBIAN = "Folded voxels", "Jacobian determinant (1 keeps the volume)"
SPREAD = "Standard deviation of the logarithm of the Jacobian determinant"
CONSISTENCY, CONSISTENCY_BACK = "Inverse consistency error", "Inverse consistency error, moving first"
DISPLACEMENT, TIME, WARNING, ALONE = "Displacement by the deformation", "Time", "Warning", "Not compared"
#: Structure of the rows that hold a mean of others.
MEAN = "mean"
#: Percentages below are not told apart.
LEAST_PERCENT = 0.001
#: Short names for tables that programs read; of the others the words of the measure.
_KEYS = {
    CORRELATION: "correlation",
    CORRELATION_BACK: "correlation_back",
    INFORMATION_BACK: "mutual_information_back",
    DICE: "dice",
    BACK: "dice_back",
    HAUSDORFF: "hd95",
    SURFACE: "mean_surface_distance",
    VOLUME: "volume_similarity",
    JACOBIAN: "jacobian",
    SPREAD: "log_jacobian_std",
    CONSISTENCY: "inverse_consistency",
    CONSISTENCY_BACK: "inverse_consistency_moving_first",
}
#: Measures that stand before the others.
_FIRST = (WARNING, DICE, LANDMARKS, DISPLACEMENT, FOLDED, TIME)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        measure: what was measured.
        structure: of which structure or landmark; empty for the whole image.
        before, after: value before and after the registration: a number, a text, or None for an empty cell.
        unit: of both values; empty for values without one.
        decimals: of both values.
        label: number of the structure, where it has one.
        name: of the structure without its number, where it has both.
    """

    measure: str
    structure: str = ""
    before: float | str | None = None
    after: float | str | None = None
    unit: str = ""
    decimals: int = 3
    label: int | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """Of the measure, for tables that programs read, such as "dice" or "folded_voxels"."""
        if self.measure == FOLDED:
            return "folded_percent" if self.unit == "%" else "folded_voxels"
        return _KEYS.get(self.measure) or re.sub(r"\W+", "_", self.measure.lower()).strip("_")

    def cells(self) -> tuple[str, ...]:
        """The text of each of `COLUMNS`."""
        return self.measure, self.structure, self.text(self.before), self.text(self.after)

    def text(self, value: float | str | None) -> str:
        """A value of this row, rounded and with its unit; "" for None."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, str):
            return value
        if self.unit == "%":
            return percent_text(value)
        number = str(value) if isinstance(value, int) else f"{value:.{self.decimals}f}"
        return f"{number} {self.unit}" if self.unit else number


def percent_text(value: float) -> str:
    """A percentage with as many digits as it needs, such as "12 %", "0.02 %" or "under 0.001 %"."""
    if value <= 0 or value >= 10:
        return f"{max(value, 0):.0f} %"
    return f"{value:.2g} %" if value >= LEAST_PERCENT else f"under {LEAST_PERCENT:g} %"


def summary(rows: Sequence[Row]) -> str:
    """The rows in one line, such as "Overlap of 12 structures 0.71 to 0.86; no folds; 9 s."."""
    parts = _agreement(rows)
    for row in rows:
        if row.measure == FOLDED and row.unit == "voxels":
            share = next(r.after for r in rows if r.measure == FOLDED and r.unit == "%")
            parts.append(f"{row.after} voxels folded ({percent_text(float(share or 0))})" if row.after else "no folds")
        if row.measure == TIME and isinstance(row.after, (int, float)):
            parts.append(f"{row.after:.{0 if row.after >= 1 else 1}f} s")
    line = "; ".join(parts)
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def important_first(rows: Sequence[Row]) -> list[Row]:
    """Warnings, means, displacements, folds and time before the rest, which keeps its order."""

    def place(row: Row) -> int:
        is_part = row.structure != MEAN and row.measure in (DICE, LANDMARKS)
        return len(_FIRST) if is_part or row.measure not in _FIRST else _FIRST.index(row.measure)

    return sorted([*_mean_overlap(rows), *rows], key=place)


def mean_of(rows: Sequence[Row], measure: str, when: str = "after") -> float:
    """Mean of a measure over the structures that have a number; NaN where none has one."""
    values = [getattr(row, when) for row in rows if row.measure == measure and row.structure != MEAN]
    numbers = [value for value in values if isinstance(value, (int, float)) and not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


def _mean_overlap(rows: Sequence[Row]) -> list[Row]:
    """The mean row of the overlap, where several structures have one; structures that lack a value are left out."""
    overlap = [row for row in rows if row.measure == DICE and row.structure != MEAN and row.after is not None]
    whole = [row for row in overlap if row.before is not None] or overlap
    if len(whole) < 2:
        return []
    before, after = (mean_of(whole, DICE, when) for when in ("before", "after"))
    return [Row(DICE, MEAN, None if math.isnan(before) else before, after)]


def _agreement(rows: Sequence[Row]) -> list[str]:
    """Overlap and landmarks in words, or the correlation where neither was drawn."""
    of = {
        measure: [row for row in rows if row.measure == measure and isinstance(row.after, float)]
        for measure in (CORRELATION, DICE, LANDMARKS)
    }
    parts = []
    overlap = [row for row in of[DICE] if row.structure != MEAN]
    if overlap:
        what = overlap[0].structure if len(overlap) == 1 else f"{len(overlap)} structures"
        parts.append(f"overlap of {what} {_change(overlap, DICE, 2)}")
    parts += [f"landmarks {_change([row], LANDMARKS, 1)} mm apart" for row in of[LANDMARKS] if row.structure == MEAN]
    return parts or [f"correlation {_change([row], CORRELATION, 2)}" for row in of[CORRELATION]]


def _change(rows: Sequence[Row], measure: str, decimals: int) -> str:
    """The means of both values in words, or of the second where nothing is known of the first."""
    named = [Row(measure, "", row.before, row.after) for row in rows]
    before, after = (mean_of(named, measure, when) for when in ("before", "after"))
    return f"{after:.{decimals}f}" if math.isnan(before) else f"{before:.{decimals}f} to {after:.{decimals}f}"
