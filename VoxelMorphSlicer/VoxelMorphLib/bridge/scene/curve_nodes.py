"""curves.csv of a training -> tables, plot series and charts of the scene, refreshed while the training runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import vtk

from ...training.monitors.curves import FILE, columns_of, read_curves

#: Attributes by which the nodes of a training are found again, in saved scenes too.
FOLDER_ATTRIBUTE, KIND_ATTRIBUTE = "VoxelMorph.TrainingFolder", "VoxelMorph.Curves"
#: Least seconds between two reads of the file, and least multiple of the time that one read takes.
REFRESH_S, REFRESH_SHARE = 2.0, 20
#: More lines than this cannot be told apart in one chart.
MOST_SERIES = 12


@dataclass(frozen=True)
class Kind:
    """One chart.

    Args:
        name: in the names of the nodes, and on the vertical axis.
        prefixes: of the columns that it shows, in the order of the curves.
    """

    name: str
    prefixes: tuple[str, ...]


KINDS = {"loss": Kind("Loss", ("loss",)), "dice": Kind("Dice", ("val_dice", "val_back_dice"))}


class Curves:
    """The charts of one training.

    Args:
        folder: of the training.
        scene: that has the nodes; None takes the application's.
    """

    def __init__(self, folder: str | Path, scene: slicer.vtkMRMLScene | None = None):
        self.folder = Path(folder)
        self._scene = scene or slicer.mrmlScene
        self._read_at, self._seen = 0.0, None
        self.rows: list[dict[str, Any]] = []

    def refresh(self, force: bool = False) -> bool:
        """Read the table again if it has changed, and show it; at most every two seconds unless `force` is set.

        Returns:
            Whether there was something new.
        """
        now = time.monotonic()
        if now < self._read_at and not force:
            return False
        self._read_at = now + REFRESH_S
        stamp = _stamp(self.folder / FILE)
        if stamp is None or (stamp == self._seen and not force):
            return False
        try:
            self.rows = read_curves(self.folder / FILE)
        except (OSError, ValueError):  # Windows: it is being replaced; the next refresh reads it
            return False
        self._seen = stamp
        if not self._scene.IsClosing():
            self._show()
        self._read_at = max(self._read_at, now + REFRESH_SHARE * (time.monotonic() - now))
        return True

    def chart(self, kind: str) -> slicer.vtkMRMLPlotChartNode | None:
        """The chart "loss" or "dice"; None where there is nothing to draw yet."""
        return self._node("vtkMRMLPlotChartNode", kind)

    def table(self, kind: str) -> slicer.vtkMRMLTableNode | None:
        """The numbers of a chart."""
        return self._node("vtkMRMLTableNode", kind)

    def last(self, column: str) -> float | None:
        """The newest value of a column."""
        return next((row[column] for row in reversed(self.rows) if column in row), None)

    def _show(self) -> None:
        for name, kind in KINDS.items():
            columns = [column for prefix in kind.prefixes for column in columns_of(self.rows, prefix)]
            columns = [column for column in columns if "@" not in column]  # variants of one network
            columns = sorted(columns, key=lambda column: column not in kind.prefixes)[:MOST_SERIES]  # means first
            rows = [row for row in self.rows if any(column in row for column in columns)]
            if rows:
                table = self._table(name)
                _fill(table, ["epoch", *columns], rows)
                self._draw(name, table, columns)

    def _table(self, kind: str) -> slicer.vtkMRMLTableNode:
        return self.table(kind) or self._add("vtkMRMLTableNode", kind, f"{self._name(kind)} table")

    def _draw(self, kind: str, table: slicer.vtkMRMLTableNode, columns: Sequence[str]) -> None:
        chart = self.chart(kind)
        if chart is None:
            chart = self._add("vtkMRMLPlotChartNode", kind, self._name(kind))
            chart.SetTitle(self._name(kind))
            chart.SetXAxisTitle("Epoch")
            chart.SetYAxisTitle(KINDS[kind].name)
        known = {series.GetYColumnName() for series in _series(chart)}
        for column in columns:
            if column not in known:
                series = self._add("vtkMRMLPlotSeriesNode", kind, _label(column))
                series.SetXColumnName("epoch")
                series.SetYColumnName(column)
                series.SetPlotType(series.PlotTypeScatter)  # points joined by lines
                series.SetMarkerStyle(series.MarkerStyleCircle if len(columns) < 3 else series.MarkerStyleNone)
                series.SetUniqueColor()
                chart.AddAndObservePlotSeriesNodeID(series.GetID())
        for series in _series(chart):  # also the earlier ones, whose table may have been deleted
            series.SetAndObserveTableNodeID(table.GetID())
        chart.Modified()  # views may stay empty without it, see slicer.util.plot

    def _name(self, kind: str) -> str:
        return f"{self.folder.name} {KINDS[kind].name.lower()}"

    def _add(self, kind_of_node: str, kind: str, name: str) -> Any:
        node = self._scene.AddNewNodeByClass(kind_of_node, name)
        node.SetAttribute(FOLDER_ATTRIBUTE, str(self.folder))
        node.SetAttribute(KIND_ATTRIBUTE, kind)
        return node

    def _node(self, kind_of_node: str, kind: str) -> Any:
        for index in range(self._scene.GetNumberOfNodesByClass(kind_of_node)):
            node = self._scene.GetNthNodeByClass(index, kind_of_node)
            wanted = (str(self.folder), kind)
            if (node.GetAttribute(FOLDER_ATTRIBUTE), node.GetAttribute(KIND_ATTRIBUTE)) == wanted:
                return node
        return None


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in a plot view, in a layout that has one."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def _series(chart: slicer.vtkMRMLPlotChartNode) -> list[slicer.vtkMRMLPlotSeriesNode]:
    found = (chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes()))
    return [series for series in found if series is not None]


def _label(column: str) -> str:
    """The label of a column: "val_dice_17" is "label 17", "val_back_dice_17" is "label 17, back"."""
    for prefix, end in (("val_dice", ""), ("val_back_dice", ", back")):
        if column.startswith(prefix):
            return (f"label {column[len(prefix) + 1 :]}" if column != prefix else "mean") + end
    return column[len("loss_") :] if column.startswith("loss_") else "sum"


def _fill(table: slicer.vtkMRMLTableNode, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    content = vtk.vtkTable()
    for name in columns:
        values = vtk.vtkDoubleArray()
        values.SetName(name)
        for row in rows:
            values.InsertNextValue(_number(row.get(name)))
        content.AddColumn(values)
    table.SetAndObserveTable(content)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _stamp(path: Path) -> tuple[int, int] | None:
    """Time and size, which change with every new table; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
