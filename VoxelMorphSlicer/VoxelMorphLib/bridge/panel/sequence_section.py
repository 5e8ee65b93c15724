"""Registers every volume of a 4-D sequence to one reference."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from .choices import ChoiceBox
from .parameters_check import missing_for_sequence, missing_while, offer

#: Values of the parameter `sequenceReference`.
FRAME, VOLUME = "frame", "volume"


class SequenceSection:
    """The section "Sequence (4-D)".

    Args:
        ui: the widgets by name.
        onRegister, onCancel: called by the buttons.
        onChosen: called with "frame" or "volume" when a person chooses another reference.
    """

    def __init__(
        self, ui, onRegister: Callable[[], None], onCancel: Callable[[], None], onChosen: Callable[[str], None]
    ):
        self.ui, self._shown = ui, None
        choices = {FRAME: _("A frame of the sequence"), VOLUME: _("The fixed volume")}
        self.box = ChoiceBox(ui.sequenceReferenceComboBox, choices, onChosen)
        ui.registerSequenceButton.connect("clicked(bool)", onRegister)
        ui.cancelSequenceButton.connect("clicked(bool)", onCancel)

    def connect(self, parameters) -> None:
        """Take a configuration as it is: the slice views stay until there is another result."""
        self._shown = parameters.sequenceBrowser

    def update(self, parameters, busy: bool) -> None:
        """Follow the configuration."""
        missing = missing_while(busy) or missing_for_sequence(parameters)
        offer(self.ui.registerSequenceButton, missing, _("Align every frame with the reference"))
        self.ui.cancelSequenceButton.enabled = busy
        for name in ("sequenceSelector", "sequenceReferenceComboBox", "sequenceBrowserSelector"):
            getattr(self.ui, name).enabled = not busy
        needs_frame = parameters is not None and parameters.sequenceReference == FRAME
        self.ui.sequenceFrameSpinBox.enabled = needs_frame and not busy
        if parameters is not None and parameters.sequenceBrowser is not self._shown:
            self._shown = parameters.sequenceBrowser
            self._show(parameters)

    def _show(self, parameters) -> None:
        """Put the moved volumes into the slice views."""
        browser = parameters.sequenceBrowser
        series = browser.GetMasterSequenceNode() if browser is not None else None
        shown = browser.GetProxyNode(series) if series is not None else None
        if parameters.showResult and shown is not None:
            slicer.util.setSliceViewerLayers(background=shown, foreground=None, fit=True)
