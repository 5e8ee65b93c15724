"""Pool: child processes that register rows side by side; a row whose process was lost runs again in another one."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..core.errors import WorkerError
from ..core.python_process import LIBRARY_FOLDER, python_command, python_environment
from .child import AT_ONCE, READY
from .processor import PROCESS_NUMBER, Settings
from .row import Outcome, Row

#: How often a row is begun before it is given up.
ATTEMPTS = 3
#: Seconds between two looks at whether the user wants to stop.
LISTENING_S = 0.2
#: Finished rows that wait to be taken, for each process.
WAITING = 4
#: Variables by which libraries learn how many threads they may use.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class Pool:
    """Processes of this computer. Use as a context manager: its end is that of the processes.

    Args:
        workers: number of processes.
        settings: of the batch.
        work: "module:function" that does a row; "" registers.
    """

    def __init__(self, workers: int, settings: Settings, work: str = ""):
        self._settings, self._work = settings, work
        self._workers = workers
        self._rows: Iterator[Row] = iter(())
        self._again: deque[tuple[Row, int]] = deque()
        self._taking = threading.Lock()
        self._outcomes: queue.Queue[Outcome | BaseException | None] = queue.Queue(WAITING * workers)
        self._children: dict[int, subprocess.Popen] = {}
        self._closed = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closed = True
        with self._taking:
            children = list(self._children.values())
        for child in children:
            with suppress(OSError):
                child.kill()
        for child in children:
            child.wait()

    def outcomes(self, rows: Iterable[Row]) -> Iterator[Outcome | None]:
        """What became of the rows, in the order in which they end; None now and then while nothing ends.

        Args:
            rows: taken a few ahead of what is done.
        """
        self._rows = iter(rows)
        threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(self._workers)]
        for thread in threads:
            thread.start()
        working = len(threads)
        while working:
            try:
                outcome = self._outcomes.get(timeout=LISTENING_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is None:
                working -= 1
            else:
                yield outcome

    def _serve(self, number: int) -> None:
        """The life of one place in the pool, in a thread: process after process until there are no rows."""
        try:
            first = self._next()
            while first is not None and not self._closed:
                first = self._run_child(number, first)
        except BaseException as error:
            self._tell(error)
        self._tell(None)

    def _tell(self, outcome: Outcome | BaseException | None) -> None:
        while not self._closed:
            with suppress(queue.Full):
                self._outcomes.put(outcome, timeout=LISTENING_S)
                return

    def _next(self) -> tuple[Row, int] | None:
        """A row and how often it was begun before; None when there are no more."""
        with self._taking:
            if self._again:
                return self._again.popleft()
            row = next(self._rows, None)
            return None if row is None else (row, 0)

    def _run_child(self, number: int, first: tuple[Row, int]) -> tuple[Row, int] | None:
        """Feed one process; gives the row to begin the next process with, if this one is lost."""
        child = self._ready(number)
        if child is None:
            return None
        running: dict[int, tuple[Row, int]] = {}
        following: tuple[Row, int] | None = first
        assert child.stdin is not None and child.stdout is not None
        try:
            _send(child, self._settings.to_dict())
            while following or running:
                # A row that was lost before may have ended its process, so that none is put at risk beside it.
                risky = any(begun for _row, begun in running.values())
                while following and len(running) < AT_ONCE and not risky and not (following[1] and running):
                    _send(child, following[0].to_dict())  # what cannot be sent was not begun, and follows elsewhere
                    running[following[0].number] = following
                    risky = bool(following[1])
                    following = self._next() if len(running) < AT_ONCE and not risky else None
                line = child.stdout.readline()
                if not line:
                    break
                outcome = Outcome.from_dict(json.loads(line))
                _row, begun = running.pop(outcome.number)
                if begun and outcome.status == "unchanged":  # the process that was lost had done it, and told nobody
                    outcome = replace(outcome, status="done")
                self._tell(outcome)
                following = following or self._next()
        except OSError:  # it ended while it was written to
            pass
        lost = list(running.values())
        self._end(number, child)
        if self._closed:
            return None
        for row, begun in lost:
            self._lost(row, begun + 1, child.returncode)
        return following or self._next()

    def _lost(self, row: Row, begun: int, code: int) -> None:
        if begun < ATTEMPTS:
            with self._taking:
                self._again.append((row, begun))
            return
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        sentence = (
            f"The process that registered it ended {begun} times ({cause}), most often because the memory was full. "
            "Use fewer processes, or crop or downsample the volumes."
        )
        names = {column: os.path.basename(row.files.get(column, "")) for column in ("fixed", "moving")}  # noqa: PTH119
        self._tell(Outcome(row.number, row.id, "failed", sentence, **names))

    def _ready(self, number: int) -> subprocess.Popen | None:
        """A process that listens; None after the end of the batch.

        Raises:
            WorkerError: none gets that far, so that it is not the fault of any row.
        """
        code = 0
        for _attempt in range(ATTEMPTS):
            child = self._start(number)
            assert child.stdout is not None
            if child.stdout.readline() == READY:
                return child
            self._end(number, child)
            if self._closed:
                return None
            code = child.returncode
        raise WorkerError(
            f"The processes that register cannot be started (exit code {code}); what they printed stands above. "
            "Install VoxelMorph and its packages again, or choose another Python."
        )

    def _start(self, number: int) -> subprocess.Popen:
        command = [*python_command(), "-m", "VoxelMorphLib.batch.child"]
        command += [f"--work={self._work}"] if self._work else []
        environment = {**os.environ, **python_environment(), PROCESS_NUMBER: str(number)}
        environment.update(thread_variables(self._workers))
        group = (
            {"start_new_session": True} if os.name != "nt" else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        )
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen(command, cwd=LIBRARY_FOLDER, env=environment, **pipes, **group)
        with self._taking:
            self._children[number] = child
        if self._closed:
            child.kill()
        return child

    def _end(self, number: int, child: subprocess.Popen) -> None:
        with suppress(OSError):
            child.stdin.close()
        child.wait()
        child.stdout.close()
        with self._taking:
            self._children.pop(number, None)


def _send(child: subprocess.Popen, message: dict[str, Any]) -> None:
    child.stdin.write(json.dumps(message).encode("ascii") + b"\n")
    child.stdin.flush()


def thread_variables(workers: int) -> dict[str, str]:
    """Environment variables that give each of some processes its share of the processor."""
    return dict.fromkeys(_THREADS, str(max(1, _cores() // workers)))


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
