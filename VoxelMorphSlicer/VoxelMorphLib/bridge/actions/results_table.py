"""Rows of measures -> a table node with rounded numbers and their units in the cells, and one line of words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import slicer
import vtk

from ...core.errors import OutputError
from ..scene.result_nodes import ATTRIBUTE_PREFIX

COLUMNS = ("Measure", "Structure", "Before", "After")
#: Attribute of the table node that holds the line of words.
SUMMARY = f"{ATTRIBUTE_PREFIX}Summary"
CORRELATION, DICE, LANDMARKS = "Correlation (-1 to 1)", "Dice overlap (0 to 1)", "Landmark error"
FOLDED, TIME = "Folded voxels", "Time"
#: Structure of the rows that hold a mean of others.
MEAN = "mean"
#: Percentages below are not told apart.
LEAST_PERCENT = 0.001


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        measure: what was measured.
        structure: of which structure or landmark; empty for the whole image.
        before, after: value before and after the registration: a number, a text, or None for an empty cell.
        unit: of both values; empty for values without one.
        decimals: of both values.
    """

    measure: str
    structure: str = ""
    before: float | str | None = None
    after: float | str | None = None
    unit: str = ""
    decimals: int = 3

    def cells(self) -> tuple[str, ...]:
        """The text of each of `COLUMNS`."""
        return self.measure, self.structure, self._text(self.before), self._text(self.after)

    def _text(self, value: float | str | None) -> str:
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
            parts.append(f"{row.after} voxels folded ({percent_text(float(share))})" if row.after else "no folds")
        if row.measure == TIME:
            parts.append(f"{row.after:.{0 if row.after >= 1 else 1}f} s")
    line = "; ".join(parts)
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def _agreement(rows: Sequence[Row]) -> list[str]:
    """Overlap and landmarks in words, or the correlation where neither was drawn."""
    numeric = [row for row in rows if isinstance(row.before, float) and isinstance(row.after, float)]
    of = {measure: [row for row in numeric if row.measure == measure] for measure in (CORRELATION, DICE, LANDMARKS)}
    parts = []
    overlap = [row for row in of[DICE] if row.structure != MEAN]
    if overlap:
        before, after = (sum(getattr(row, when) for row in overlap) / len(overlap) for when in ("before", "after"))
        what = overlap[0].structure if len(overlap) == 1 else f"{len(overlap)} structures"
        parts.append(f"overlap of {what} {before:.2f} to {after:.2f}")
    parts += [f"landmarks {r.before:.1f} to {r.after:.1f} mm apart" for r in of[LANDMARKS] if r.structure == MEAN]
    return parts or [f"correlation {row.before:.2f} to {row.after:.2f}" for row in of[CORRELATION]]


def check_table(table: slicer.vtkMRMLNode | None) -> None:
    """Refuse a node that cannot receive a table.

    Raises:
        OutputError: it is of another class, or left the scene.
    """
    if table is not None and not isinstance(table, slicer.vtkMRMLTableNode):
        raise OutputError(f"{table.GetName()} is a {table.GetClassName()} and cannot hold results. Choose a table.")
    if table is not None and table.GetScene() is None:
        raise OutputError(f"{table.GetName()} is no longer in the scene. Choose another table.")


def fill_table(rows: Iterable[Row], table: slicer.vtkMRMLTableNode) -> None:
    """Replace the content of a table node; all columns hold text, so that missing values show as empty cells."""
    rows = list(rows)
    content = vtk.vtkTable()
    for index, name in enumerate(COLUMNS):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row.cells()[index])
        content.AddColumn(column)
    with slicer.util.NodeModify(table):
        if hasattr(table, "SetUseColumnTitleAsColumnHeader"):  # Slicer 5.12 and later
            table.SetUseColumnTitleAsColumnHeader(True)
        else:
            table.SetUseColumnNameAsColumnHeader(True)
        table.SetAndObserveTable(content)
        table.SetAttribute(SUMMARY, summary(rows) or None)


def summary_of(table: slicer.vtkMRMLTableNode | None) -> str:
    """The line of words that belongs to a table; "" for none."""
    return (table.GetAttribute(SUMMARY) if table is not None else None) or ""
