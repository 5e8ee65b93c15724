"""Actions as steps, and the drivers that do them: `finish` for scripts, `Task` for whoever polls.

An action is written once, as a generator: nodes are read and written between its yields, in the caller's thread; what
takes long is yielded and computed elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Union

from ...core.errors import Cancelled, ConfigError, VoxelMorphError
from ...core.progress import Progress, silent

if TYPE_CHECKING:
    from ...registration.template_request import Request

#: Seconds between two looks of `wait_for` at another process.
LOOK_S = 0.01


class Worker(Protocol):
    """What steps ask of the process that registers; `worker.WorkerClient` is one."""

    def submit(self, request: Request, on_progress: Progress, /) -> Running:
        """Queue a registration, which is awaited by what this returns."""


@dataclass(frozen=True, eq=False)
class Registering:
    """A registration or a template that steps wait for, wherever it is computed; they are sent the result."""

    request: Request
    progress: Progress = silent


class Running(ABC):
    """Work of another process that steps wait for; they are sent its result."""

    @abstractmethod
    def poll(self) -> bool:
        """Take the news; True once the work has ended. Never waits."""

    @abstractmethod
    def result(self) -> Any:
        """What the work gives, after its end.

        Raises:
            VoxelMorphError: what went wrong, `Cancelled` included.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ask the work to end; it may save something first, so its end still comes by `poll`."""

    def close(self) -> None:
        """Forget the work for good: it ends, and nobody hears of it."""
        self.cancel()


#: An action. Yields: a function of plain arrays, computed by a thread, or `Registering`, or `Running`, each answered
#: with its result or error; a text that says what comes next; None, which lets the application breathe.
Steps = Generator[Union[Callable[[], Any], Registering, Running, str, None], Any, Any]


def finish(steps: Steps, register: Callable[[Request, Progress], Any] | None = None) -> Any:
    """Do all steps here and now.

    Args:
        steps: the action.
        register: computes registrations, with the arguments of `registration.register.register`.

    Returns:
        What the generator returns.
    """
    advance, answer = steps.send, None
    while True:
        try:
            item = advance(answer)
        except StopIteration as end:
            return end.value
        answer = None  # volumes and fields are not held longer than the steps need them
        try:
            advance, answer = steps.send, _done_here(item, register)
        except Exception as error:
            advance, answer = steps.throw, error
        del item


def wait_for(running: Running, timeout_s: float | None = None) -> Any:
    """Wait for the end of work, and give its result; work that is not waited for any more is closed.

    Args:
        running: the work.
        timeout_s: longest time; None waits for ever.

    Raises:
        TimeoutError: the time is up.
        Exception: as `Running.result`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while not running.poll():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(LOOK_S)
    except BaseException:  # a Ctrl-C, or a callback that raises
        running.close()
        raise
    return running.result()


def _done_here(item: Any, register: Callable[[Request, Progress], Any] | None) -> Any:
    if isinstance(item, Registering):
        assert register is not None, "steps that register need somebody who computes"
        return register(item.request, item.progress)
    if isinstance(item, Running):
        return wait_for(item)
    return item() if callable(item) else None


class Task:
    """Steps on their way, for an application that polls them.

    Args:
        steps: the action; nothing of it is done before the first `poll`.
        worker: gives the process that registers; called when the first registration begins.
        on_done: called with what the steps return.
        on_failed: called with what went wrong, `Cancelled` included. Exactly one of both is called, by `poll` or
            `cancel`.
        on_text: called with the texts that the steps yield.
        on_poll: called by every `poll` while the work goes on.

    Attributes:
        warnings: sentences of the warnings that the caller's part of the work gave.
    """

    def __init__(
        self,
        steps: Steps,
        worker: Callable[[], Worker] | None = None,
        on_done: Callable[[Any], None] = lambda _value: None,
        on_failed: Callable[[Exception], None] = lambda _error: None,
        on_text: Callable[[str], None] = lambda _text: None,
        on_poll: Callable[[], None] = lambda: None,
    ):
        self._steps, self._worker = steps, worker
        self._on_done, self._on_failed, self._on_text, self._on_poll = on_done, on_failed, on_text, on_poll
        self.busy, self.stopping = True, False
        self.warnings: list[str] = []
        self._running: Running | None = None
        #: The steps execute now; who cancels meanwhile, from a callback or an event, is heard when they have yielded.
        self._executing = self._cancel_wanted = False

    def poll(self, wait_s: float = 0.0) -> None:
        """Go on where what the steps wait for is done.

        Args:
            wait_s: longest wait for a thread, which computes only while the caller leaves Python's lock to it.
        """
        if not self.busy or self._executing:
            return
        running = self._running
        try:
            self._on_poll()
            if isinstance(running, _Thread):
                running.wait(wait_s)
            has_ended = running is None or running.poll()
        except Cancelled:  # the wish of a callback
            self.cancel()
            return
        except Exception as error:
            self._drop(running)
            self._advance(self._steps.throw, error)
            return
        if not has_ended or not self.busy or running is not self._running:  # a callback of the poll went on or ended
            return
        self._running = None
        try:
            answer = None if running is None else running.result()
        except Exception as error:  # of any kind: the steps may know what to do about it
            self._advance(self._steps.throw, error)
        else:
            self._advance(self._steps.send, answer)

    def cancel(self) -> None:
        """Stop the work: the steps get `Cancelled`, at once or when a process has saved what it has.

        `on_failed` gets it then, unless the steps have something to say: that the registration itself is done.
        """
        if not self.busy:
            return
        self.stopping = True
        if self._executing:
            self._cancel_wanted = True
            return
        running = self._running
        if running is None or isinstance(running, _Thread):  # a function comes to its end, and nobody takes its result
            self._stop()
            return
        running.cancel()
        self.poll()

    def close(self) -> None:
        """Stop for good: nothing is called back."""
        if not self.busy:
            return
        self.busy = False
        self._drop(self._running)
        if not self._executing:
            self._steps.close()

    def _stop(self) -> None:
        """Tell the steps that they are cancelled."""
        self._running = None
        self._advance(self._steps.throw, Cancelled("Cancelled; the scene is as before"))

    def _drop(self, running: Running | None) -> None:
        self._running = None
        if running is not None:
            running.close()

    def _advance(self, resume: Callable[[Any], Any], value: Any) -> None:
        self._executing = True
        try:
            item = self._resumed(resume, value)
        except StopIteration as end:
            self._end(self._on_done, end.value)
            return
        except Exception as error:  # the caller waits for exactly one answer, whatever a node or VTK does
            if not isinstance(error, VoxelMorphError):
                logging.exception("Work on the scene failed")
            self._end(self._on_failed, error)
            return
        finally:
            self._executing = False
        self._go_on(item)

    def _go_on(self, item: Any) -> None:
        """Begin what the steps wait for now, unless they were closed or cancelled while they executed."""
        if not self.busy:
            self._steps.close()
            return
        if self._cancel_wanted:
            self._cancel_wanted = False
            self._stop()
            return
        try:
            self._running = self._started(item)
        except Exception as error:
            self._advance(self._steps.throw, error)

    def _resumed(self, resume: Callable[[Any], Any], value: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                return resume(value)
            finally:
                said = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
                self.warnings += [text for text in said if text not in self.warnings]

    def _started(self, item: Any) -> Running | None:
        if isinstance(item, str):
            self._on_text(item)
            return None
        if isinstance(item, Registering):
            if self._worker is None:
                raise ConfigError("This action registers and was given no worker process. Start it with a worker.")
            return self._worker().submit(item.request, item.progress)
        if item is None or isinstance(item, Running):
            return item
        return _Thread(item)

    def _end(self, callback: Callable[[Any], None], value: Any) -> None:
        if self.busy:
            self.busy, self._running = False, None
            callback(value)


class _Thread(Running):
    """A function of plain arrays in a thread of its own."""

    def __init__(self, work: Callable[[], Any]):
        self._work = work
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Leave the processor to the thread."""
        self._thread.join(seconds)

    def poll(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> None:
        """Nothing can stop a function; it comes to its end."""

    def _compute(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # raised again in the caller's thread
            self._error = error
