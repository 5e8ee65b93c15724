"""qMRML widgets that show or hand on the scene: qMRMLWidget, qSlicerWidget and qMRMLTableView."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .strict import Strict, emit, inner, raw_attribute, strict

SCENE_CHANGED = "mrmlSceneChanged(vtkMRMLScene*)"


@stand_in(methods=["setMRMLScene", "mrmlScene"], signals=[SCENE_CHANGED])
class qMRMLWidget(strict(QtWidgets.QWidget)):
    """A widget that hands its scene on."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._scene = None

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """Tell everybody connected, when it is another scene."""
        if scene is not self._scene:
            self._scene = scene
            emit(self, "mrmlSceneChanged", scene)


@stand_in(methods=["setMRMLScene"], signals=[SCENE_CHANGED])
class qSlicerWidget(qMRMLWidget):
    """Like qMRMLWidget, but its `mrmlScene` is a plain C++ method that Python does not see."""

    def mrmlScene(self):
        """Hidden from module code."""
        return self._scene


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


class Observations:
    """What one widget observes.

    Args:
        widget: when Qt deletes it, all observations end.
    """

    def __init__(self, widget: Strict):
        self._observed = []
        raw_attribute(widget, "destroyed").connect(self.clear)

    def add(self, item, *events_and_callback) -> None:
        """`add(scene, event, ..., callback)`."""
        *events, callback = events_and_callback
        self._observed += [(item, item.AddObserver(event, callback)) for event in events]

    def clear(self, *_deleted) -> None:
        """Observe nothing."""
        for item, tag in self._observed:
            item.RemoveObserver(tag)
        self._observed.clear()
