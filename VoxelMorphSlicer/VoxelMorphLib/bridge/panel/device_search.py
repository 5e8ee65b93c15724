"""Asks a child process which devices this machine has, so that torch is not loaded into the application."""

from __future__ import annotations

import json
import os
import subprocess
import time

from ...core.devices import Device
from ...core.errors import DeviceError
from ..background.child_process import LIBRARY_FOLDER, child_options, python_command

#: Longest time that the search may take; importing torch from a slow disk is most of it.
TIME_LIMIT_S = 120.0
_CODE = (
    "import dataclasses, json; from VoxelMorphLib.core.devices import available_devices; "
    "print(json.dumps([dataclasses.asdict(device) for device in available_devices()]))"
)


class DeviceSearch:
    """One search, begun at construction.

    Args:
        command: the Python that looks; None takes the worker's.

    Raises:
        DeviceError: the search cannot be begun.
    """

    def __init__(self, command: list[str] | None = None):
        self._until = time.monotonic() + TIME_LIMIT_S
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
        try:
            self._process = subprocess.Popen(
                [*(command or python_command()), "-c", _CODE],
                cwd=LIBRARY_FOLDER,
                env=child_options({})["env"],
                **pipes,
                **hidden,
            )
        except OSError as error:
            raise DeviceError(f"The devices cannot be looked for ({error.strerror}). Reinstall Slicer.") from error

    def poll(self) -> list[Device] | None:
        """The devices, or None while the search goes on; never waits.

        Raises:
            DeviceError: torch is missing or broken, or the search takes too long.
        """
        if self._process.poll() is None:
            if time.monotonic() < self._until:
                return None
            self.close()
            raise DeviceError(f"No device was found within {TIME_LIMIT_S:g} s. Choose automatic.")
        with self._process.stdout as stream:
            answer = stream.read().decode("utf-8", "replace").strip()
        try:
            return [Device(**values) for values in json.loads(answer.splitlines()[-1])]
        except (IndexError, TypeError, ValueError) as error:
            raise DeviceError(
                "The devices are not known because PyTorch is missing or damaged. Install it, or register once."
            ) from error

    def close(self) -> None:
        """End the search."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
