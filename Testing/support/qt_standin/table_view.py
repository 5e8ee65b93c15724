"""qMRMLTableView: the cells of a table node."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .mrml_widgets import SCENE_CHANGED
from .observations import Observations
from .strict import emit, inner, strict


@stand_in(
    methods=["setMRMLScene", "mrmlScene", "mrmlTableNode", "setMRMLTableNode", "setFirstRowLocked"],
    signals=[SCENE_CHANGED, "selectionChanged()"],
)
class qMRMLTableView(strict(QtWidgets.QTableView)):
    """Shows a table node; without a node it is empty."""

    mrmlSceneChanged = Signal(object)
    selectionChanged = Signal()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._scene = self._node = None
        self._observations = Observations(self)
        self._row_locked = False
        self._cells = inner(QtGui.QStandardItemModel())
        self.setModel(self._cells)

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """A table of another scene is not shown any longer."""
        if scene is not self._scene:
            self._scene = scene
            self.setMRMLTableNode(None)
            emit(self, "mrmlSceneChanged", scene)

    def mrmlTableNode(self):
        """The node that is shown, or None."""
        return self._node

    def setMRMLTableNode(self, node) -> None:
        """Show a table and follow its changes."""
        self._observations.clear()
        self._node = node
        if node is not None:
            self._observations.add(node, "ModifiedEvent", self._fill)
        self._fill()

    def _fill(self, *_event) -> None:
        self._cells.clear()
        if self._node is None:
            return
        columns = range(self._node.GetNumberOfColumns())
        self._cells.setHorizontalHeaderLabels([self._node.GetColumnName(column) for column in columns])
        for row in range(self._node.GetNumberOfRows()):
            texts = [self._node.GetCellText(row, column) for column in columns]
            self._cells.appendRow([QtGui.QStandardItem(text) for text in texts])

    def setFirstRowLocked(self, locked: bool) -> None:
        """The stand-in lets nobody edit."""
        self._row_locked = locked

    firstRowLocked = Property(bool, lambda self: self._row_locked, setFirstRowLocked)
