"""qMRMLSubjectHierarchyComboBox: a choice among the folders and nodes of the subject hierarchy."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .observations import Observations
from .strict import emit, strict


@stand_in(
    methods=["clearSelection", "currentItem", "currentNode", "mrmlScene", "setCurrentItem", "setMRMLScene"],
    signals=["currentItemChanged(vtkIdType)"],
)
class qMRMLSubjectHierarchyComboBox(strict(QtWidgets.QComboBox)):
    """Items are numbers, valid until the scene is closed; 0 is none.

    The stand-in lists all items one below the other, and makes no subject hierarchy for a scene without one.
    """

    currentItemChanged = Signal(object)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._scene = self._hierarchy = None
        self._current, self._none = 0, True
        self._scene_observations, self._observations = Observations(self), Observations(self)
        QtWidgets.QComboBox.currentIndexChanged.__get__(self).connect(self._picked)

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """List the items of a scene and follow its changes."""
        self._scene_observations.clear()
        self._scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._scene_observations.add(scene, *events, self._refresh)
        self._refresh()

    def currentItem(self) -> int:
        """Number of the chosen item, 0 for none."""
        return self._current

    def currentNode(self):
        """The node of the chosen item; folders have none."""
        return self._hierarchy.GetItemDataNode(self._current) if self._current else None

    def setCurrentItem(self, item: int) -> None:
        """An item that is not listed selects nothing."""
        index = QtWidgets.QComboBox.findData(self, item)
        QtWidgets.QComboBox.setCurrentIndex(self, max(index, 0) if self._none else index)

    def clearSelection(self) -> None:
        """Choose none."""
        self.setCurrentItem(0)

    def _refresh(self, *_event) -> None:
        self._follow()
        items = self._items()
        blocked = QtCore.QSignalBlocker(self)
        QtWidgets.QComboBox.clear(self)
        if self._none:
            QtWidgets.QComboBox.addItem(self, "None", 0)
        for item in items:
            QtWidgets.QComboBox.addItem(self, self._hierarchy.GetItemName(item), item)
        current = self._current if self._current in items else 0
        QtWidgets.QComboBox.setCurrentIndex(self, QtWidgets.QComboBox.findData(self, current))
        blocked.unblock()
        self._become(current)

    def _follow(self) -> None:
        """Observe the subject hierarchy, which may come later than the scene."""
        found = self._scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") if self._scene else None
        if found is self._hierarchy:
            return
        self._observations.clear()
        self._hierarchy = found
        if found is not None:
            kind = slicer.vtkMRMLSubjectHierarchyNode
            events = (kind.SubjectHierarchyItemAddedEvent, kind.SubjectHierarchyItemRemovedEvent)
            self._observations.add(found, *events, kind.SubjectHierarchyItemReparentedEvent, self._refresh)

    def _items(self) -> list[int]:
        if self._hierarchy is None:
            return []
        listed = vtk.vtkIdList()
        self._hierarchy.GetItemChildren(self._hierarchy.GetSceneItemID(), listed, True)
        return [listed.GetId(index) for index in range(listed.GetNumberOfIds())]

    def _picked(self, index: int) -> None:
        self._become(QtWidgets.QComboBox.itemData(self, index) or 0 if index >= 0 else 0)

    def _become(self, item: int) -> None:
        if item != self._current:
            self._current = item
            emit(self, "currentItemChanged", item)

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled
        self._refresh()

    noneEnabled = Property(bool, lambda self: self._none, _set_none)
