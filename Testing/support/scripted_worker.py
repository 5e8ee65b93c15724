"""A worker that does what a test tells it to, at the moment the test wants it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from VoxelMorphLib.bridge.background.worker import Job
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
        self._submitted: Job | None = None

    def submit(self, job, on_progress=silent) -> Job:
        self.jobs.append(job)
        self._submitted = Job(self, job, on_progress)
        return self._submitted

    def poll(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()

    def cancel(self, _job: Job) -> None:
        self.fail(Cancelled("cancelled by the test"))

    forget = cancel

    def close(self) -> None:
        self.was_closed = True

    def report(self, fraction: float, text: str) -> None:
        """Progress, at the next poll."""
        submitted = self._submitted

        def answer() -> None:
            submitted.news = (fraction, text)
            submitted.report()

        self._answers.append(answer)

    def finish(self, change: Callable = lambda result: result) -> None:
        """The real registration of the last job, or what `change` makes of it, at the next poll."""
        submitted = self._submitted
        self._answers.append(lambda: submitted.end(change(self._registered(submitted.request))))

    def fail(self, error: Exception) -> None:
        """An error, at the next poll."""
        submitted = self._submitted
        self._answers.append(lambda: submitted.end(error))

    def _registered(self, job: RegistrationRequest) -> Registration:
        with nullcontext() if self.aligns else few_steps():
            return register(job)
