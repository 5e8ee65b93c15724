"""Carries anything in the scene along a transform, forward or inverse."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from ...core.progress import Progress
from ..background.steps import Steps
from .folder_choice import FolderChoice
from .parameters_check import missing_for_apply
from .sentences import done


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
        missing = (
            _("A registration or an installation is running.")
            if busy
            else missing_for_apply(parameters, self.folder.item != 0)
        )
        self.ui.applyButton.enabled = not missing
        self.ui.applyButton.toolTip = missing or _("Make a moved copy of the input")
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
