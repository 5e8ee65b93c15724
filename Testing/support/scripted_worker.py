"""A worker that does what a test tells it to, at the moment the test wants it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.registration.register import register
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.registration.result import Registration

from .few_steps import few_steps


@dataclass(eq=False)
class ScriptedWorker:
    """The methods of `WorkerClient` that the panel calls; nothing happens until the test says so.

    Args:
        jobs: what was submitted, in order.
        was_closed: whether `close` was called.
        aligns: whether an optimisation takes the time that its job allows; else it takes a few steps.
    """

    jobs: list[RegistrationRequest] = field(default_factory=list)
    was_closed: bool = False
    aligns: bool = False

    def __post_init__(self) -> None:
        self._answers: list[Callable[[], None]] = []
        self._callbacks = None

    def submit(self, job, on_progress=silent, on_done=silent, on_error=silent) -> int:
        self.jobs.append(job)
        self._callbacks = (on_progress, on_done, on_error)
        return len(self.jobs)

    def poll(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()

    def cancel(self, _handle: int) -> None:
        self.fail(Cancelled("cancelled by the test"))

    def close(self) -> None:
        self.was_closed = True

    def report(self, fraction: float, text: str) -> None:
        """Progress, at the next poll."""
        on_progress = self._callbacks[0]
        self._answers.append(lambda: on_progress(fraction, text))

    def finish(self, change: Callable = lambda result: result) -> None:
        """The real registration of the last job, or what `change` makes of it, at the next poll."""
        job, on_done = self.jobs[-1], self._callbacks[1]
        self._answers.append(lambda: on_done(change(self._registered(job))))

    def fail(self, error: Exception) -> None:
        """An error, at the next poll."""
        on_error = self._callbacks[2]
        self._answers.append(lambda: on_error(error))

    def _registered(self, job: RegistrationRequest) -> Registration:
        with nullcontext() if self.aligns else few_steps():
            return register(job)
