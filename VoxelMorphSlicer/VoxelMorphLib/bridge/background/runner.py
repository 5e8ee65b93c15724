"""Runner: the tasks of the panel, polled by one timer; nothing here waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt

from .steps import Steps, Task

if TYPE_CHECKING:
    from .worker import WorkerClient

#: How often the tasks are asked for news.
POLL_MS = 50
#: How long a poll leaves the processor to the thread of a task; the application stands still for that long.
WAIT_S = 0.03


class Runner:
    """Does any number of tasks side by side, in the application's thread and without stopping it.

    Args:
        makeWorker: gives the process that registers; called for the first registration.
    """

    def __init__(self, makeWorker: Callable[[], WorkerClient]):
        self.makeWorker = makeWorker
        self._worker: WorkerClient | None = None
        self._tasks: list[Task] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.poll)

    def task(self, steps: Steps, **callbacks: Any) -> Task:
        """A task of these steps, to be started; `callbacks` are those of `Task`."""
        return Task(steps, self.worker, **callbacks)

    def start(self, task: Task) -> None:
        """Begin: the first part is done at once."""
        self._tasks.append(task)
        self._timer.start()
        task.poll()
        self._forgetEnded()

    def worker(self) -> WorkerClient:
        """The process that registers, the same one for all tasks."""
        self._worker = self._worker or self.makeWorker()
        return self._worker

    def poll(self) -> None:
        """Let every task go on; a callback that fails does not keep the others from it."""
        self._timer.start()  # begun anew, it also ticks while a callback shows a dialog
        for task in list(self._tasks):
            try:
                task.poll(WAIT_S)
            except Exception:
                logging.exception("An answer to a finished task failed")
        self._forgetEnded()

    def close(self) -> None:
        """End all tasks and the process for good."""
        self._timer.stop()
        try:
            for task in self._tasks:
                task.close()
        finally:
            self._tasks.clear()
            if self._worker is not None:
                self._worker.close()

    def _forgetEnded(self) -> None:
        self._tasks = [task for task in self._tasks if task.busy]
        if not self._tasks:
            self._timer.stop()
