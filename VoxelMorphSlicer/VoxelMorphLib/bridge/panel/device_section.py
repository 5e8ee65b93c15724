"""The list of devices: automatic first, the rest with names and free memory once they were looked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import slicer
from slicer.i18n import tr as _

from ...core.devices import Device
from ...core.errors import Cancelled, DeviceError, VoxelMorphError, WorkerError
from ..background.child_process import ChildProcess, python_command
from ..background.runner import Runner
from ..background.steps import Steps, Task
from ..install import TORCH, check
from .choices import ChoiceBox

AUTOMATIC = "auto"
#: Longest time that the search may take; importing torch from a slow disk is most of it.
TIME_LIMIT_S = 120.0
_CODE = (
    "import dataclasses, json; from VoxelMorphLib.core.devices import available_devices; "
    "print(json.dumps([dataclasses.asdict(device) for device in available_devices()]))"
)


def device_steps(command: Sequence[str] | None = None) -> Steps:
    """Ask a child process which devices this machine has, so that torch is not loaded into the application.

    Args:
        command: the Python that looks; None takes the worker's.

    Raises:
        DeviceError: the search cannot be begun, torch is missing or broken, or the search takes too long.
    """
    try:
        search = ChildProcess([*(command or python_command()), "-c", _CODE], saves=False, limit_s=TIME_LIMIT_S)
    except WorkerError as error:
        reason = getattr(error.__cause__, "strerror", error)
        raise DeviceError(f"The devices cannot be looked for ({reason}). Reinstall Slicer.") from error
    return _found(search)


def _found(search: ChildProcess) -> Steps:
    try:
        lines = yield search
        return [Device(**values) for values in json.loads(lines[-1])]
    except Cancelled as error:
        raise DeviceError(f"No device was found within {TIME_LIMIT_S:g} s. Choose automatic.") from error
    except (VoxelMorphError, IndexError, TypeError, ValueError) as error:
        raise DeviceError(
            "The devices are not known because PyTorch is missing or damaged. Install it, or register once."
        ) from error


class DeviceSection:
    """Which device computes.

    Args:
        ui: the widgets by name.
        runner: does the search.
        onChosen: called with the name of the device when a person chooses another one.
        onFound: called without arguments when the devices of this machine are known.
        say: shows a sentence; called with the text and whether it is an error.
    """

    def __init__(
        self,
        ui,
        runner: Runner,
        onChosen: Callable[[str], None],
        onFound: Callable[[], None],
        say: Callable[..., None],
    ):
        self.ui, self._runner, self._onFound, self._say = ui, runner, onFound, say
        self._known: list[Device] | None = None
        self._search: Task | None = None
        self._announced = self._looked = False
        self._box = ChoiceBox(ui.deviceComboBox, self.choices, onChosen)
        ui.findDevicesButton.connect("clicked(bool)", self.onFind)

    @property
    def searching(self) -> bool:
        """Whether a search goes on."""
        return self._search is not None and self._search.busy

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
        if self.searching:
            return
        try:
            steps = device_steps()
        except DeviceError as error:
            self._say(str(error), error=True)
            return
        self.ui.findDevicesButton.enabled = False
        self._search = self._runner.task(steps, on_done=self._take, on_failed=self._fail)
        self._runner.start(self._search)

    def setDevices(self, devices: Sequence[Device]) -> None:
        """List these devices."""
        self._known = list(devices)
        self._box.setChoices(self.choices)

    def show(self, name: str) -> bool:
        """Show a device as chosen; False where this machine is known not to have it."""
        if not self._box.has(name) and self._known is None:
            self._box.setChoices({**self.choices, name: _("{name} (not looked for yet)").format(name=name)})
        return self._box.show(name)

    def _take(self, devices: list[Device]) -> None:
        self.setDevices(devices)
        self._end(_("Found: {devices}").format(devices="; ".join(map(str, devices))))
        self._onFound()

    def _fail(self, error: Exception) -> None:
        self._end(str(error), error=True)

    def _end(self, text: str, error: bool = False) -> None:
        self.ui.findDevicesButton.enabled = True
        if self._announced:
            self._say(text, error)
        self._announced = False
