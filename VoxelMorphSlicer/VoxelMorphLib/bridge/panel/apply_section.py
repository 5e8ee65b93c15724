"""The section that carries anything in the scene along a transform; a folder of the data tree is a parameter too."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from ...core.progress import Progress
from ..background.steps import Steps
from ..scene.rollback import hierarchy_of
from .parameters_check import missing_for_apply, missing_while, offer
from .progress_section import done

#: Name under which the subject hierarchy keeps our identifiers; its own numbers change when a scene is loaded.
UID_NAME = "VoxelMorph"


class ApplySection:
    """The section "Apply a transform".

    Args:
        ui: the widgets by name.
        logic: applies transforms.
        onApply: called when a person clicks.
    """

    def __init__(self, ui, logic, onApply: Callable[[], None]):
        self.ui, self._logic = ui, logic
        self.folder = FolderChoice(ui.appliedFolderComboBox)
        ui.applyButton.connect("clicked(bool)", onApply)

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration."""
        self.folder.show(parameters)
        missing = missing_while(busy) or missing_for_apply(parameters, self.folder.item != 0)
        offer(self.ui.applyButton, missing, _("Make a moved copy of the input"))
        self.ui.appliedNodeSelector.enabled = self.folder.item == 0
        self.ui.cancelApplyButton.enabled = busy

    def steps(self, parameters, progress: Progress) -> Steps:
        """Make a moved copy of the folder, or of the node; gives the sentence that remains of it."""
        result = yield from self._logic.applyTransform.steps(
            self.folder.item or parameters.appliedNode,
            parameters.appliedTransform,
            referenceVolume=parameters.appliedReference,
            inverse=parameters.applyInverse,
            progress=progress,
        )
        names = [node.GetName() for node in result] if isinstance(result, list) else [result.GetName()]
        return done(", ".join(names))


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
