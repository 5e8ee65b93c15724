"""ChildProcess: a command of the library in a process of its own, the worker included; how it begins and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...cli.common import BAD_INPUT, DONE, INTERRUPTED
from ...core.errors import Cancelled, VoxelMorphError, WorkerError
from ...core.progress import Progress, silent
from ...core.python_process import LIBRARY_FOLDER, python_command, python_environment
from ...weights.folders import default_cache_folder
from ...worker.protocol import LONGEST_LINE
from .steps import Running

#: How many printed lines are kept, and how many bytes of the standard error.
LINES, STDERR_BYTES = 200, 16384
#: Seconds that the streams may stay open after the end.
DRAINING_S = 5.0
_PROGRESS = re.compile(r"<filter-progress>([0-9.]+)</filter-progress>")
_STAGE = re.compile(r"VoxelMorph(?:Train|Batch): (.*)")


def child_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Options of Popen for a process that finds the library, is ended with its children, and hears no Ctrl-C.

    Args:
        environment: variables that replace or extend this process's.
    """
    python = python_environment()
    if os.environ.get("VXM_CACHE"):  # may be relative to this process's folder
        python["VXM_CACHE"] = str(default_cache_folder().absolute())
    # The working folder comes first on sys.path of `python -m`: it must hold nothing but the library.
    return {"cwd": LIBRARY_FOLDER, "env": {**os.environ, **python, **environment}, **_own_group()}


def end_group(pid: int) -> None:
    """End a process that was started with `child_options`, and its children, at once; never waits."""
    if os.name == "nt":
        threading.Thread(target=_kill_tree, args=(pid,), daemon=True).start()
        return
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM when only zombies are left
        os.killpg(pid, signal.SIGKILL)


def _own_group() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _kill_tree(pid: int) -> None:
    """Windows has no process groups that can be ended; this takes a moment."""
    command = ["taskkill", "/T", "/F", "/PID", str(pid)]
    subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)


def train_command() -> list[str]:
    """How to start the train command, without its arguments."""
    return [*python_command(), "-m", "VoxelMorphLib.cli.train"]


def apply_command() -> list[str]:
    """How to start the apply command, without its arguments."""
    return [*python_command(), "-m", "VoxelMorphLib.cli.apply"]


class ChildProcess(Running):
    """A command of the library, running.

    It stops by itself, and a training saves its last checkpoint, when this process ends. Nothing here waits for it.

    Args:
        command: with its arguments.
        progress: called with a fraction and the stage, by `poll`.
        saves: whether it saves and ends when its standard input is closed; others are ended at once.
        limit_s: seconds after which it is ended; None for no limit.
        environment: variables that replace or extend this process's.
        stopping_s: seconds from the wish to stop to the end by force: the step that runs must end, and the checkpoint
            be written.
        ending_s: seconds from the end of its output to the end by force; None for no limit.
        name: what messages call it.
        kept: sentence that says what an end by force leaves.
        remedy: sentence that says what to do when the memory was full.
        hear: takes the lines of its output instead, in a thread; when it raises, the process is ended.
        at_end: called in a thread when nothing runs any more, before `gone` is set; also where it could not be started.

    Attributes:
        gone: set when the process, its children and what `at_end` removes are gone.
        heard: number of lines that came; grows as long as the process shows life.
        fault: what `hear` raised.

    Raises:
        WorkerError: it could not be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        progress: Progress = silent,
        saves: bool = True,
        limit_s: float | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        stopping_s: float = 60.0,
        ending_s: float | None = None,
        name: str = "training",
        kept: str = "A checkpoint that was written before is whole; resume goes on from it.",
        remedy: str = "Choose a smaller batch size or shape; resume goes on from the last checkpoint.",
        hear: Callable[[bytes], None] | None = None,
        at_end: Callable[[], None] = lambda: None,
    ):
        self._progress, self._saves, self._name = progress, saves, name
        self._stopping_s, self._ending_s = stopping_s, ending_s
        self._name, self._kept, self._remedy = name, kept, remedy
        self._until = None if limit_s is None else time.monotonic() + limit_s
        self._kill_at: float | None = None
        self._killed = False
        self._state = self._told = (0.0, "")
        self._lines: deque[str] = deque(maxlen=LINES)
        self._errors = b""
        self._hear, self._at_end = hear or self._take, at_end
        self.gone, self._exited = threading.Event(), threading.Event()
        self.heard, self._hearing = 0, False
        self.fault: Exception | None = None
        self._writer: threading.Thread | None = None
        self._beginning_to_write = threading.Lock()  # a thread that has not begun cannot be waited for
        try:
            self._popen = _started(list(command), environment or {}, name)
        except WorkerError:
            at_end()
            raise
        readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in (*readers, threading.Thread(target=self._reap, args=(readers,), daemon=True)):
            thread.start()

    @property
    def pid(self) -> int:
        """Of the process, which leads a process group of its own."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with; -n where signal n ended it, None while it runs."""
        return self._popen.returncode

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._errors.decode("utf-8", "replace").strip()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._kill_at is not None

    def poll(self) -> bool:
        is_gone = self.gone.is_set()  # before its last words are looked at, which came before
        if self._state != self._told:
            self._told = self._state
            self._progress(*self._told)
        if is_gone:
            return True
        now = time.monotonic()
        if (self.stopping and now > self._kill_at) or (self._until is not None and now > self._until):
            self.kill()
        return False

    def result(self) -> tuple[str, ...]:
        """The lines that the command printed beside its progress."""
        if self.exit_code != DONE:
            raise self._error(self.exit_code)
        return tuple(self._lines)

    def cancel(self) -> None:
        """Let it finish its step, save and end; it is ended by force after a while, or when asked again."""
        if self.stopping or not self._saves:
            self.kill()
            return
        self._kill_at = time.monotonic() + self._stopping_s
        with suppress(OSError):  # it has ended already, and something unsent was left
            self._popen.stdin.close()

    def close(self) -> None:
        """Let it save and end, and forget it; what was asked to stop already is not ended by force."""
        if not self.stopping:
            self.cancel()

    def kill(self) -> None:
        """End it and its children at once; checkpoints that it wrote are whole."""
        self._killed = True
        if not self.gone.is_set():
            end_group(self.pid)

    def send(self, make: Callable[[], bytes | None]) -> None:
        """Write a line to its standard input.

        Args:
            make: gives the line, None for nothing, in a thread whose end `gone` waits for; when it raises, the process
                is ended.
        """
        with self._beginning_to_write:
            self._writer = threading.Thread(target=self._write, args=(make,), daemon=True)
            self._writer.start()

    def _write(self, make: Callable[[], bytes | None]) -> None:
        try:
            line = make()
        except Exception:
            self.kill()
            return
        if line is not None:
            with suppress(OSError, ValueError):  # it has ended, which `gone` tells
                self._popen.stdin.write(line)
                self._popen.stdin.flush()

    def _error(self, code: int) -> VoxelMorphError:
        details = self.last_words
        sentence = details.splitlines()[-1].rstrip() if details else ""
        if code == INTERRUPTED:
            return Cancelled(sentence)
        if self._killed and not self._saves:
            return Cancelled("Ended at once.")
        if self._killed:
            return Cancelled(f"Ended at once. {self._kept}")
        if code == BAD_INPUT and sentence.startswith("Error: "):
            return VoxelMorphError(sentence[len("Error: ") :])
        if code < 0 and not self._saves:
            return WorkerError(
                f"The {self._name} was ended from outside (signal {-code}), most often because the memory was full. "
                "Close other programs.",
                details,
            )
        if code < 0:
            return WorkerError(
                f"The {self._name} was ended from outside (signal {-code}), most often because the memory was full. "
                f"{self._remedy}",
                details,
            )
        return WorkerError(
            f"The {self._name} ended with a fault of the program (exit code {code}: {sentence or 'no message'}). "
            "Please report it with Slicer's log.",
            details,
        )

    def _read(self) -> None:
        with self._popen.stdout as stream:
            try:
                for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
                    self.heard, self._hearing = self.heard + 1, True
                    self._hear(line)
                    self._hearing = False
            except Exception as error:  # in a thread nobody else would hear of it
                self.fault, self._hearing = error, False
                self.kill()
        if self._ending_s is not None and not self._exited.wait(self._ending_s):
            self.kill()

    def _take(self, raw: bytes) -> None:
        """A line of a command: its progress, the stage it is in, or something for people."""
        line = raw.decode("utf-8", "replace").rstrip()
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
            for chunk in iter(lambda: stream.read1(STDERR_BYTES), b""):
                self._errors = (self._errors + chunk)[-STDERR_BYTES:]

    def _reap(self, readers: Sequence[threading.Thread]) -> None:
        """Wait for its end, then end the children that outlived it and might hold its pipes open."""
        self._popen.wait()
        self._exited.set()
        end_group(self.pid)
        for thread in readers:
            thread.join(DRAINING_S)
        while self._hearing:  # a line that takes long, such as a large result
            readers[0].join(DRAINING_S)
        with self._beginning_to_write:
            writer = self._writer
        if writer is not None:
            writer.join()
        with suppress(OSError):
            self._popen.stdin.close()
        self._at_end()
        self.gone.set()


def _started(command: list[str], environment: Mapping[str, str], name: str) -> subprocess.Popen:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        return subprocess.Popen(command, **pipes, **child_options(environment))
    except OSError as error:
        raise WorkerError(
            f"The {name} process {command[0]} could not be started ({error.strerror or error}). Reinstall the "
            "extension or Slicer."
        ) from error
