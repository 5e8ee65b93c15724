"""What goes to one worker process and what comes back: its folder, the jobs in it, and the lines that it sends."""

from __future__ import annotations

import queue
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import OutputError, VoxelMorphError, WorkerError
from ...core.image import Image
from ...core.io.paths import exists
from ...core.io.scratch import make_scratch_folder, remove_folder
from ...registration.result import Registration
from ...registration.template_request import Request
from ...worker.files import bytes_needed, read_result, write_request
from ...worker.protocol import LONGEST_LINE, Message, decode, encode, error_of


@dataclass(frozen=True)
class Event:
    """Something that a worker told.

    Args:
        kind: "hello" (value: protocol version), "progress" (fraction and text), "result" (a `Registration`, or an
            `Image`) or "error" (a `VoxelMorphError`).
        job: that it belongs to.
        value: see `kind`.
    """

    kind: str
    job: int = 0
    value: Any = None


class Exchange:
    """The private folder of one worker process, and what it told; threads write and read here.

    Args:
        parent: where the folder is made; None takes the system's.

    Raises:
        OutputError: the folder could not be made.
    """

    def __init__(self, parent: Path | None):
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._began, self._start_s = time.perf_counter(), 0.0
        try:
            self.folder = make_scratch_folder(parent, "voxelmorph-")
        except OSError as error:
            raise _unusable(parent or "of the system", error) from error

    def written(self, number: int, job: Request) -> bytes | None:
        """Write a job's files; the line that asks for it, None where they cannot be written, which an event tells.

        Raises:
            OSError: the folder is gone, so the process has cleared up and is leaving.
        """
        folder = self.folder / str(number)
        try:
            _check_space(self.folder, bytes_needed(job))
            folder.mkdir()
            write_request(job, folder)
        except Exception as error:  # in a thread nobody else would hear of it
            if not exists(self.folder):
                raise
            remove_folder(folder)
            self.events.put(Event("error", number, self._unsent(error)))
            return None
        return encode({"type": "register", "job": number, "folder": str(folder)})

    def hear(self, line: bytes) -> None:
        """Make an event of a line.

        Raises:
            WorkerError: it is no message, or an incomplete one.
        """
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:  # the end of the process cut it short
            return
        try:
            self._take(decode(line))
        except (KeyError, TypeError, ValueError) as error:
            raise _incomplete(error) from error

    def _unsent(self, error: Exception) -> VoxelMorphError:
        if isinstance(error, VoxelMorphError):
            return error
        if isinstance(error, OSError):
            return _unusable(self.folder.parent, error)
        return WorkerError(f"The job cannot be sent to the worker ({type(error).__name__}: {error}). Please report it.")

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "hello":
            self._start_s = round(time.perf_counter() - self._began, 3)
            self.events.put(Event("hello", 0, message["protocol"]))
        elif kind == "progress":
            self.events.put(Event("progress", message["job"], (float(message["fraction"]), str(message["text"]))))
        elif kind == "error":
            remove_folder(self.folder / str(message["job"]))
            self.events.put(Event("error", message["job"], error_of(message)))
        elif kind == "result":
            self._take_result(message)

    def _take_result(self, message: Message) -> None:
        folder = self.folder / str(message["job"])
        try:
            result = _timed(read_result(folder), {"start": self._start_s, **message["seconds"]})
            event = Event("result", message["job"], result)
        except OSError as error:
            event = Event("error", message["job"], _unusable(folder, error))
        self._start_s = 0.0
        remove_folder(folder)  # first: who has the result may expect that nothing is left
        self.events.put(event)


def _timed(registration: Registration | Image, seconds: Mapping[str, float]) -> Registration | Image:
    """A registration with the worker's own times in its report."""
    if isinstance(registration, Image):
        return registration
    stages = {name: value for name, value in registration.report.seconds.items() if name != "total"}
    stages = {**seconds, **stages}
    report = replace(registration.report, seconds={**stages, "total": sum(stages.values())})
    return replace(registration, report=report)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The temporary folder {folder.parent} has {free / 1e6:.0f} MB left, but the registration needs about "
            f"{needed / 1e6:.0f} MB. Free some space, or set another temporary folder."
        )


def _unusable(folder: object, error: OSError) -> OutputError:
    return OutputError(
        f"The temporary folder {folder} cannot be used ({error.strerror or error}). "
        "Free some space on its disk, or set another temporary folder."
    )


def _incomplete(error: Exception) -> WorkerError:
    return WorkerError(
        f"The worker process sent an incomplete message ({type(error).__name__}: {error}) and was ended. "
        "Register again."
    )
