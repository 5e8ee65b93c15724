"""One run of the train command as a child process: progress while it runs, then its lines or what went wrong."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ...cli.common import BAD_INPUT, DONE, INTERRUPTED
from ...core.errors import Cancelled, VoxelMorphError, WorkerError
from ...core.progress import Progress, silent
from .child_process import child_options, end_group, python_command

#: Called with the lines that the command printed beside its progress.
Finished = Callable[[Sequence[str]], None]
#: Called with what went wrong, `Cancelled` included.
Failed = Callable[[Exception], None]

#: Seconds from the wish to stop to the end by force: the step that runs must end, and the checkpoint be written.
STOPPING_S = 60.0
#: How many lines of each stream are kept, and how many seconds the streams may stay open after the end.
LINES, DRAINING_S = 200, 5.0
_PROGRESS = re.compile(r"<filter-progress>([0-9.]+)</filter-progress>")
_STAGE = re.compile(r"VoxelMorphTrain: (.*)")


def train_command() -> list[str]:
    """How to start the train command, without its arguments."""
    return [*python_command(), "-m", "VoxelMorphLib.cli.train"]


class TrainingProcess:
    """The train command, running.

    It stops by itself, and saves its last checkpoint, when this process ends. Nothing here waits for it.

    Args:
        arguments: of the command.
        onProgress: called with a fraction and the stage.
        onFinished: called with the printed lines.
        onFailed: called with what went wrong; exactly one of both is called, by `poll`.
        command: what to start instead of the train command.
        environment: variables that replace or extend this process's.

    Raises:
        WorkerError: it could not be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        onProgress: Progress = silent,
        onFinished: Finished = lambda _lines: None,
        onFailed: Failed = lambda _error: None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self._onProgress, self._onFinished, self._onFailed = onProgress, onFinished, onFailed
        self._state = self._told = (0.0, "")
        self._lines, self._errors = deque(maxlen=LINES), deque(maxlen=LINES)
        self._kill_at: float | None = None
        self._killed, self._answered = False, False
        self._gone = threading.Event()
        self._popen = _started([*(command or train_command()), *arguments], environment or {})
        readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in (*readers, threading.Thread(target=self._reap, args=(readers,), daemon=True)):
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process, which leads a process group of its own."""
        return self._popen.pid

    @property
    def busy(self) -> bool:
        """Whether the answer is still to come."""
        return not self._answered

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._kill_at is not None

    def poll(self) -> None:
        """Call back with what happened since the last call; never waits."""
        if self._answered:
            return
        if self._state != self._told:
            self._told = self._state
            self._onProgress(*self._told)
        if self._gone.is_set():
            self._answered = True
            self._answer(self._popen.returncode)
        elif self.stopping and time.monotonic() > self._kill_at:
            self.kill()

    def stop(self) -> None:
        """Let it finish its step, save and end; it is ended by force after a minute, or when asked again."""
        if self.stopping:
            self.kill()
            return
        self._kill_at = time.monotonic() + STOPPING_S
        with suppress(OSError):  # it has ended already
            self._popen.stdin.close()

    def kill(self) -> None:
        """End it and its children at once; checkpoints that it wrote are whole."""
        self._killed = True
        if not self._gone.is_set():
            end_group(self.pid)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end and call back, for scripts.

        Raises:
            WorkerError: it still runs after `timeout_s`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while self.busy:
            if end is not None and time.monotonic() > end:
                raise WorkerError(f"The training still runs after {timeout_s:g} s. Wait longer, or stop it.")
            self._gone.wait(0.1)
            self.poll()

    def _answer(self, code: int) -> None:
        if code == DONE:
            self._onFinished(tuple(self._lines))
        else:
            self._onFailed(self._error(code))

    def _error(self, code: int) -> VoxelMorphError:
        sentence = next((line for line in reversed(self._errors) if line.strip()), "")
        if code == INTERRUPTED:
            return Cancelled(sentence)
        if self._killed:
            return Cancelled("Ended at once. A checkpoint that was written before is whole; resume goes on from it.")
        if code == BAD_INPUT and sentence.startswith("Error: "):
            return VoxelMorphError(sentence[len("Error: ") :])
        details = "\n".join(self._errors)
        if code < 0:
            return WorkerError(
                f"The training was ended from outside (signal {-code}), most often because the memory was full. Choose "
                "a smaller batch size or shape; resume goes on from the last checkpoint.",
                details,
            )
        return WorkerError(
            f"The training ended with a fault of the program (exit code {code}: {sentence or 'no message'}). Please "
            "report it with Slicer's log.",
            details,
        )

    def _read(self) -> None:
        with self._popen.stdout as stream:
            for raw in stream:
                self._take(raw.decode("utf-8", "replace").rstrip())

    def _take(self, line: str) -> None:
        fraction, stage = self._state
        progress, named = _PROGRESS.fullmatch(line), _STAGE.fullmatch(line)
        if progress:
            self._state = (min(float(progress[1]), 1.0), stage)
        elif named:
            self._state = (fraction, named[1])
        elif line:
            self._lines.append(line)

    def _read_errors(self) -> None:
        with self._popen.stderr as stream:
            for raw in stream:
                self._errors.append(raw.decode("utf-8", "replace").rstrip())

    def _reap(self, readers: Sequence[threading.Thread]) -> None:
        """Wait for its end, then end the children that outlived it and might hold its pipes open."""
        self._popen.wait()
        end_group(self.pid)
        for thread in readers:
            thread.join(DRAINING_S)
        with suppress(OSError):
            self._popen.stdin.close()
        self._gone.set()


def _started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        return subprocess.Popen(list(command), **pipes, **child_options(environment))
    except OSError as error:
        raise WorkerError(
            f"The training process {command[0]} could not be started ({error.strerror or error}). Reinstall the "
            "extension or Slicer."
        ) from error
