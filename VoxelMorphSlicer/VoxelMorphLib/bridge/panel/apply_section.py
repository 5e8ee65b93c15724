"""The section that carries anything in the scene along a transform; a folder of the data tree is a parameter too."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from ...apply.options import ApplyOptions
from ...core.io.transforms import WRITABLE
from ...core.options import options_of
from ...core.progress import Progress
from ..background.steps import Steps
from ..scene.rollback import hierarchy_of
from .choices import ChoiceBox
from .parameters_check import missing_for_apply, missing_while, offer
from .progress_section import done

#: Name under which the subject hierarchy keeps our identifiers; its own numbers change when a scene is loaded.
UID_NAME = "VoxelMorph"

#: Result that is no moved copy and no map.
PARTS = "parts"


class ApplySection:
    """The section "Apply a transform".

    Args:
        ui: the widgets by name.
        logic: applies transforms.
        onApply: called when a person clicks.
        onSave: called with the path that a person chose for the transform.
        store: takes the name of a parameter and the value that a person chose.
    """

    def __init__(self, ui, logic, onApply: Callable[[], None], onSave: Callable[[str], None], store: Callable):
        self.ui, self._logic, self._onSave = ui, logic, onSave
        self.folder = FolderChoice(ui.appliedFolderComboBox, "appliedFolder")
        self.boxes = {
            "applyInterpolation": ChoiceBox(
                ui.applyInterpolationComboBox,
                {name: _(text) for name, text in options_of(ApplyOptions)["interpolation"].choices.items()},
                lambda value: store("applyInterpolation", value),
            ),
            "applyResult": ChoiceBox(ui.applyResultComboBox, _results(), lambda value: store("applyResult", value)),
        }
        ui.applyButton.connect("clicked(bool)", onApply)
        ui.saveTransformButton.connect("clicked(bool)", self._onSaveClicked)

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration."""
        self.folder.show(parameters)
        missing = missing_while(busy) or missing_for_apply(parameters, self.folder.item != 0)
        moves = parameters is None or parameters.applyResult == "moved"
        offer(self.ui.applyButton, missing, _("Make what is chosen above"))
        nothing = parameters is None or parameters.appliedTransform is None
        missing = missing_while(busy) or (_("Choose a transform.") if nothing else "")
        offer(self.ui.saveTransformButton, missing, _("Write the transform into a file of any format that can hold it"))
        self.ui.appliedNodeSelector.enabled = moves and self.folder.item == 0
        self.ui.appliedFolderComboBox.enabled = self.ui.applyInterpolationComboBox.enabled = moves
        self.ui.cancelApplyButton.enabled = busy

    def steps(self, parameters, progress: Progress) -> Steps:
        """Make a moved copy of the folder or of the node, or a map; gives the sentence that remains of it."""
        if parameters.applyResult == PARTS:
            parts = yield from self._logic.splitTransform.steps(
                parameters.appliedTransform, inverse=parameters.applyInverse
            )
            return done(", ".join(node.GetName() for node in parts))
        if parameters.applyResult != "moved":
            draw = getattr(self._logic, parameters.applyResult).steps
            drawn = yield from draw(
                parameters.appliedTransform, parameters.appliedReference, inverse=parameters.applyInverse
            )
            return done(drawn.GetName())
        result = yield from self._logic.applyTransform.steps(
            self.folder.item or parameters.appliedNode,
            parameters.appliedTransform,
            referenceVolume=parameters.appliedReference,
            inverse=parameters.applyInverse,
            interpolation=parameters.applyInterpolation,
            progress=progress,
        )
        names = [node.GetName() for node in result] if isinstance(result, list) else [result.GetName()]
        return done(", ".join(names))

    def saving(self, parameters, path: str) -> Steps:
        """Write the transform; gives the sentence that remains of it."""
        written = yield from self._logic.saveTransform.steps(
            parameters.appliedTransform, path, parameters.appliedReference, inverse=parameters.applyInverse
        )
        return done(str(written))

    def _onSaveClicked(self, _checked: bool) -> None:
        kinds = " ".join(f"*{extension}" for extension in WRITABLE)
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save transform"), "", f"{_('Transforms')} ({kinds})"
        )
        if path:
            self._onSave(path)


def _results() -> dict[str, str]:
    return {
        "moved": _("Moved copy of the input"),
        "jacobian": _("Jacobian map: 1 keeps volumes, 0 and less folds"),
        "displacement": _("Length of the displacement (mm)"),
        PARTS: _("Linear and deformable part as two transforms"),
    }


class FolderChoice:
    """Shows a parameter in a combo box of the subject hierarchy.

    Args:
        comboBox: a qMRMLSubjectHierarchyComboBox.
        name: of the parameter, which keeps the identifier of the item.
    """

    def __init__(self, comboBox, name: str):
        self._comboBox, self._name, self._parameters, self._showing = comboBox, name, None, False
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
        chosen = getattr(parameters, self._name) if parameters is not None else ""
        item = hierarchy.GetItemByUID(UID_NAME, chosen) if hierarchy is not None and chosen else 0
        if item != self.item:
            self._showing = True
            self._comboBox.setCurrentItem(item)
            self._showing = False

    def _onChosen(self, _item: int) -> None:
        if self._showing or self._parameters is None or slicer.mrmlScene.IsClosing():
            return
        setattr(self._parameters, self._name, _uid_of(self.item) if self.item else "")


def _uid_of(item: int) -> str:
    hierarchy = hierarchy_of(slicer.mrmlScene)
    if not hierarchy.GetItemUID(item, UID_NAME):
        hierarchy.SetItemUID(item, UID_NAME, uuid.uuid4().hex)
    return hierarchy.GetItemUID(item, UID_NAME)
