"""Rows of measures -> a table node with rounded numbers and their units in the cells, and one line of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import slicer
import vtk

from ...core.errors import OutputError
from ...evaluation.rows import COLUMNS, Row, summary
from ..scene.result_nodes import ATTRIBUTE_PREFIX

#: Attribute of the table node that holds the line of words.
SUMMARY = f"{ATTRIBUTE_PREFIX}Summary"


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
    with slicer.util.NodeModify(table):
        fill_columns(table, COLUMNS, [row.cells() for row in rows])
        table.SetAttribute(SUMMARY, summary(rows) or None)


def fill_columns(table: slicer.vtkMRMLTableNode, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Replace the content of a table node by texts under these headings."""
    content = vtk.vtkTable()
    for index, name in enumerate(names):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row[index])
        content.AddColumn(column)
    with slicer.util.NodeModify(table):
        if hasattr(table, "SetUseColumnTitleAsColumnHeader"):  # Slicer 5.12 and later
            table.SetUseColumnTitleAsColumnHeader(True)
        else:
            table.SetUseColumnNameAsColumnHeader(True)
        table.SetAndObserveTable(content)


def summary_of(table: slicer.vtkMRMLTableNode | None) -> str:
    """The line of words that belongs to a table; "" for none."""
    return (table.GetAttribute(SUMMARY) if table is not None else None) or ""
