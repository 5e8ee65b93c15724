"""Carries anything in the scene along a transform, forward or inverse."""

from __future__ import annotations

from typing import Callable

import slicer
from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from .parameters_check import missing_for_apply


class ApplySection:
    """The section "Apply a transform".

    Args:
        ui: the widgets by name.
        logic: applies transforms.
        say: shows a sentence; called with the text and whether it is an error.
    """

    def __init__(self, ui, logic, say: Callable[..., None]):
        self.ui, self._logic, self._say = ui, logic, say
        self.parameters = None
        ui.applyButton.connect("clicked(bool)", self.onApply)

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration."""
        self.parameters = parameters
        missing = _("A registration is running.") if busy else missing_for_apply(parameters)
        self.ui.applyButton.enabled = not missing
        self.ui.applyButton.toolTip = missing or _("Make a moved copy of the input")

    def onApply(self) -> None:
        """Make a moved copy of the input."""
        node, transform = self.parameters.appliedNode, self.parameters.appliedTransform
        inverse, reference = self.parameters.applyInverse, self.parameters.appliedReference
        try:
            with slicer.util.WaitCursor():
                result = self._logic.applyTransform(node, transform, referenceVolume=reference, inverse=inverse)
        except VoxelMorphError as error:
            self._say(str(error), error=True)
            return
        self._say(_("Done: {name}").format(name=result.GetName()))
