"""The list of devices: automatic first, the rest with names and free memory once they were looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
import slicer
from slicer.i18n import tr as _

from ...core.devices import Device
from ...core.errors import DeviceError
from ..install import TORCH, check
from .choices import ChoiceBox
from .device_search import DeviceSearch

AUTOMATIC = "auto"
POLL_MS = 100


class DeviceSection:
    """Which device computes.

    Args:
        ui: the widgets by name.
        onChosen: called with the name of the device when a person chooses another one.
        onFound: called without arguments when the devices of this machine are known.
        say: shows a sentence; called with the text and whether it is an error.
    """

    def __init__(self, ui, onChosen: Callable[[str], None], onFound: Callable[[], None], say: Callable[..., None]):
        self.ui, self._onFound, self._say = ui, onFound, say
        self._known: list[Device] | None = None
        self._search: DeviceSearch | None = None
        self._announced = self._looked = False
        self._box = ChoiceBox(ui.deviceComboBox, self.choices, onChosen)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.findDevicesButton.connect("clicked(bool)", self.onFind)

    @property
    def searching(self) -> bool:
        """Whether a search goes on."""
        return self._search is not None

    @property
    def choices(self) -> dict[str, str]:
        """The devices that can be chosen, with their texts."""
        choices = {AUTOMATIC: _("Automatic")}
        choices.update((device.name, str(device)) for device in self._known or ())
        return choices

    def onFind(self) -> None:
        """Look for devices, and say what was found."""
        self._say(_("Looking for devices"))
        self._announced = True
        self.find()

    def findOnce(self) -> None:
        """Look for devices when the panel is first entered; nothing is said, and nothing done without PyTorch."""
        if self._looked or slicer.app.testingEnabled() or check((TORCH,)):
            return
        self.find()

    def find(self) -> None:
        """Look for the devices of this machine in a process of its own; `onFound` follows."""
        self._looked = True
        try:
            self._search = self._search or DeviceSearch()
        except DeviceError as error:
            self._say(str(error), error=True)
            return
        self.ui.findDevicesButton.enabled = False
        self._timer.start()

    def setDevices(self, devices: Sequence[Device]) -> None:
        """List these devices."""
        self._known = list(devices)
        self._box.setChoices(self.choices)

    def show(self, name: str) -> bool:
        """Show a device as chosen; False where this machine is known not to have it."""
        if not self._box.has(name) and self._known is None:
            self._box.setChoices({**self.choices, name: _("{name} (not looked for yet)").format(name=name)})
        return self._box.show(name)

    def close(self) -> None:
        """End a search."""
        self._timer.stop()
        if self._search is not None:
            self._search.close()
            self._search = None

    def _poll(self) -> None:
        try:
            devices = self._search.poll()
        except DeviceError as error:
            self._stop(str(error), error=True)
            return
        if devices is not None:
            self.setDevices(devices)
            self._stop(_("Found: {devices}").format(devices="; ".join(map(str, devices))))
            self._onFound()

    def _stop(self, text: str, error: bool = False) -> None:
        self.close()
        self.ui.findDevicesButton.enabled = True
        if self._announced:
            self._say(text, error)
        self._announced = False
