"""A folder of the subject hierarchy as a parameter that is saved with the scene."""

from __future__ import annotations

import uuid

import slicer

from ..scene.rollback import hierarchy_of

#: Name under which the subject hierarchy keeps our identifiers; its own numbers change when a scene is loaded.
UID_NAME = "VoxelMorph"


class FolderChoice:
    """Shows the parameter `appliedFolder` in a combo box of the subject hierarchy.

    Args:
        comboBox: a qMRMLSubjectHierarchyComboBox.
    """

    def __init__(self, comboBox):
        self._comboBox, self._parameters, self._showing = comboBox, None, False
        comboBox.connect("currentItemChanged(vtkIdType)", self._onChosen)

    @property
    def item(self) -> int:
        """Number of the chosen item, 0 for none."""
        hierarchy = hierarchy_of(slicer.mrmlScene)
        item = self._comboBox.currentItem()
        return 0 if hierarchy is None or item == hierarchy.GetSceneItemID() else item

    def show(self, parameters) -> None:
        """Follow the configuration."""
        self._parameters = parameters
        hierarchy = hierarchy_of(slicer.mrmlScene)
        chosen = parameters.appliedFolder if parameters is not None else ""
        item = hierarchy.GetItemByUID(UID_NAME, chosen) if hierarchy is not None and chosen else 0
        if item != self.item:
            self._showing = True
            self._comboBox.setCurrentItem(item)
            self._showing = False

    def _onChosen(self, _item: int) -> None:
        if self._showing or self._parameters is None or slicer.mrmlScene.IsClosing():
            return
        self._parameters.appliedFolder = _uid_of(self.item) if self.item else ""


def _uid_of(item: int) -> str:
    hierarchy = hierarchy_of(slicer.mrmlScene)
    if not hierarchy.GetItemUID(item, UID_NAME):
        hierarchy.SetItemUID(item, UID_NAME, uuid.uuid4().hex)
    return hierarchy.GetItemUID(item, UID_NAME)
