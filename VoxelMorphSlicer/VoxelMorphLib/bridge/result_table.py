"""Measured values -> a table node that people read and export."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import slicer
import vtk

from ..core.errors import OutputError

COLUMNS = ("Measure", "Structure", "Before", "After", "Unit")


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        measure: what was measured.
        structure: of which structure or landmark; empty for the whole image.
        before, after: the registration; a number, a text, or None for an empty cell.
        unit: of both.
    """

    measure: str
    structure: str = ""
    before: float | str | None = None
    after: float | str | None = None
    unit: str = ""


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
    """Replace the content of a table node; all columns are texts, so that an empty cell is empty."""
    rows = list(rows)
    content = vtk.vtkTable()
    for name in COLUMNS:
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(_text(getattr(row, name.lower())))
        content.AddColumn(column)
    with slicer.util.NodeModify(table):
        if hasattr(table, "SetUseColumnTitleAsColumnHeader"):  # Slicer 5.12 and later
            table.SetUseColumnTitleAsColumnHeader(True)
        else:
            table.SetUseColumnNameAsColumnHeader(True)
        table.SetAndObserveTable(content)


def _text(value: float | str | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value) if isinstance(value, (str, int)) else f"{value:.4g}"
