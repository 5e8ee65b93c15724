"""One worker process: started, spoken to and ended, with its folder; threads turn its lines into events."""

from __future__ import annotations

import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import OutputError, VoxelMorphError, WorkerError
from ...registration.request import RegistrationRequest
from ...registration.result import Registration
from ...worker.files import bytes_needed, read_registration, remove_folder, write_request
from ...worker.protocol import LONGEST_LINE, Message, decode, encode, error_of
from .child_process import child_options, end_group, python_command

#: Bytes of the process's standard error that are kept.
STDERR_BYTES = 8192
#: Seconds that a process may take to end by itself.
ENDING_S = 5.0


@dataclass(frozen=True)
class Event:
    """Something that happened to a process.

    Args:
        kind: "hello" (value: protocol version), "progress" (fraction and text), "result" (a `Registration`), "error"
            (a `VoxelMorphError`), "broken" (one that concerns the process itself) or "ended" (exit code).
        job: that it belongs to.
        value: see `kind`.
    """

    kind: str
    job: int = 0
    value: Any = None


def worker_command() -> list[str]:
    """How to start the worker."""
    return [*python_command(), "-m", "VoxelMorphLib.worker.child"]


class WorkerProcess:
    """A running worker.

    Args:
        command: that starts it; the options `--folder` and `--idle` are added.
        environment: variables that replace or extend this process's.
        temporary_folder: where its private folder is made; None takes the system's.
        idle_s: seconds without a job after which it ends by itself.

    Raises:
        WorkerError: it could not be started.
        OutputError: its folder could not be made.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], temporary_folder: Path | None, idle_s: float
    ):
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        #: Lines that came; grows as long as the process shows life.
        self.heard = 0
        #: Set when the process, its children and its folder are gone.
        self.gone = threading.Event()
        self._began = time.perf_counter()
        self._start_s = 0.0
        self._stderr = b""
        self._writer: threading.Thread | None = None
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="voxelmorph-", dir=temporary_folder))
        except OSError as error:
            raise _unusable(temporary_folder or "of the system", error) from error
        self._popen = self._started([*command, "--folder", str(self.folder), "--idle", str(idle_s)], environment)
        self._reaper, self._listener, reader = (
            threading.Thread(target=work, daemon=True) for work in (self._reap, self._read_stderr, self._read)
        )
        for thread in (self._reaper, self._listener, reader):
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process that was started, which leads a process group of its own."""
        return self._popen.pid

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._stderr.decode("utf-8", "replace").strip()

    def send(self, number: int, job: RegistrationRequest) -> None:
        """Write a job's files and ask for it, in a thread."""
        self._writer = threading.Thread(target=self._write, args=(number, job), daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Let it end by itself; `kill` if it should still work."""
        with suppress(OSError):  # it has ended already, and something unsent was left
            self._popen.stdin.close()

    def kill(self) -> None:
        """End it and its children at once; `gone` follows."""
        if not self.gone.is_set():
            end_group(self.pid)

    def _started(self, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            return subprocess.Popen(command, **pipes, **child_options(environment))
        except OSError as error:
            remove_folder(self.folder)
            raise WorkerError(
                f"The worker process {command[0]} could not be started ({error.strerror or error}). "
                "Reinstall the extension or Slicer."
            ) from error

    def _write(self, number: int, job: RegistrationRequest) -> None:
        folder = self.folder / str(number)
        try:
            _check_space(self.folder, bytes_needed(job))
            folder.mkdir()
            write_request(job, folder)
        except Exception as error:  # in a thread nobody else would hear of it
            if not self.folder.exists():  # the process is leaving and has cleared up; its end is told
                self.kill()
                return
            remove_folder(folder)
            self.events.put(Event("error", number, self._unsent(error)))
            return
        try:
            self._popen.stdin.write(encode({"type": "register", "job": number, "folder": str(folder)}))
            self._popen.stdin.flush()
        except (OSError, ValueError):
            pass  # it has ended, which the reader tells

    def _unsent(self, error: Exception) -> VoxelMorphError:
        if isinstance(error, VoxelMorphError):
            return error
        if isinstance(error, OSError):
            return _unusable(self.folder.parent, error)
        return WorkerError(f"The job cannot be sent to the worker ({type(error).__name__}: {error}). Please report it.")

    def _read(self) -> None:
        try:
            for line in iter(lambda: self._popen.stdout.readline(LONGEST_LINE), b""):
                if line.endswith(b"\n") or len(line) == LONGEST_LINE:  # else its end cut the line short
                    self.heard += 1
                    self._take(decode(line))
        except (VoxelMorphError, KeyError, TypeError, ValueError) as error:
            known = isinstance(error, VoxelMorphError)
            self.events.put(Event("broken", 0, error if known else _incomplete(error)))
            self.kill()
        finally:
            self._finish()

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
            registration = _timed(read_registration(folder), {"start": self._start_s, **message["seconds"]})
            self.events.put(Event("result", message["job"], registration))
        except OSError as error:
            self.events.put(Event("error", message["job"], _unusable(folder, error)))
        self._start_s = 0.0
        remove_folder(folder)

    def _read_stderr(self) -> None:
        with self._popen.stderr as stream:
            for chunk in iter(lambda: stream.read1(STDERR_BYTES), b""):
                self._stderr = (self._stderr + chunk)[-STDERR_BYTES:]

    def _reap(self) -> None:
        """Wait for its end, then end the children that outlived it and might hold its pipes open."""
        self._popen.wait()
        self.kill()

    def _finish(self) -> None:
        """The process has closed its output: it ends, or is made to."""
        self._reaper.join(ENDING_S)
        if self._reaper.is_alive():
            self.kill()
            self._reaper.join()
        if self._writer is not None:
            self._writer.join()
        self._listener.join(1.0)
        remove_folder(self.folder)
        self._popen.stdout.close()
        self.close()
        self.events.put(Event("ended", 0, self._popen.returncode))
        self.gone.set()


def _timed(registration: Registration, seconds: Mapping[str, float]) -> Registration:
    """The registration with the worker's own times in its report."""
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
