"""WorkerClient: registrations and templates in a warm child process; without Qt and scene, for who calls poll."""

from __future__ import annotations

import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Union

from ...core.errors import Cancelled, VoxelMorphError, WorkerError
from ...core.image import Image
from ...core.io.scratch import remove_folder
from ...core.progress import Progress, silent
from ...registration.result import Registration
from ...registration.template_request import Request
from ...worker.protocol import PROTOCOL
from .child_process import ChildProcess, python_command
from .exchange import Event, Exchange
from .steps import Running, wait_for

#: What a job gives: a registration, or a template.
Result = Union[Registration, Image]


def worker_command() -> list[str]:
    """How to start the worker."""
    return [*python_command(), "-m", "VoxelMorphLib.worker.child"]


class Job(Running):
    """Work that a worker was asked for; exactly one of `on_done` and `on_error` is called for it.

    Args:
        worker: its `poll` calls `end`, its `cancel` stops this job, its `forget` does so without a word.
        request: what to compute.
        on_progress: receives the latest progress.
        on_done: receives the result.
        on_error: receives what went wrong.
    """

    def __init__(
        self,
        worker: WorkerClient,
        request: Request,
        on_progress: Progress = silent,
        on_done: Callable[[Result], None] = lambda _registration: None,
        on_error: Callable[[VoxelMorphError], None] = lambda _error: None,
    ):
        self._worker, self.request = worker, request
        self._on_progress, self._on_done, self._on_error = on_progress, on_done, on_error
        self.ended = self.begun = False
        self.number = 0
        self.news: tuple[float, str] | None = None
        self._outcome: Result | VoxelMorphError | None = None

    def poll(self) -> bool:
        if not self.ended:
            self._worker.poll()
        return self.ended

    def result(self) -> Result:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def cancel(self) -> None:
        self._worker.cancel(self)

    def close(self) -> None:
        self._worker.forget(self)

    def report(self) -> None:
        """Tell the latest progress, once."""
        if self.news is not None:
            news, self.news = self.news, None
            self._on_progress(*news)

    def end(self, outcome: Result | VoxelMorphError, quietly: bool = False) -> None:
        """Take the result or the error, and call back."""
        self._outcome, self.ended = outcome, True
        if not quietly:
            (self._on_error if isinstance(outcome, Exception) else self._on_done)(outcome)


class WorkerClient:
    """Registers one pair after the other in a child process that keeps torch and the models loaded.

    The process starts with the first job. After a cancelled job, a crash or a long idle time the next job starts a new
    one. All callbacks come from `poll`, in the caller's thread.

    Args:
        command: that starts the worker; None takes this library's own. The options `--folder` and `--idle` are added.
        idle_s: seconds without a job after which the process ends.
        environment: variables for the process, in addition to the caller's.
        silence_s: seconds without any sign of life after which the process is ended.
        temporary_folder: where arrays are exchanged; None takes the system's.
        absence_s: longest time between two polls that counts as silence of the process, not as absence of the caller.
        closing_s: seconds that a process may take to end by itself when it is shut down.
        ending_s: seconds that it may take to end by itself when it has closed its output.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        idle_s: float = 600.0,
        environment: Mapping[str, str] | None = None,
        silence_s: float = 120.0,
        temporary_folder: Path | None = None,
        *,
        absence_s: float = 1.0,
        closing_s: float = 2.0,
        ending_s: float = 5.0,
    ):
        self.command, self.idle_s, self.silence_s = command, idle_s, silence_s
        self.environment, self.temporary_folder = dict(environment or {}), temporary_folder
        self.absence_s, self.closing_s, self.ending_s = absence_s, closing_s, ending_s
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        #: Jobs that are done but not delivered yet, with their outcomes.
        self._done: deque[tuple[Job, Result | VoxelMorphError]] = deque()
        self._count = 0
        self._process: ChildProcess | None = None
        self._exchange: Exchange | None = None
        self._greeted = self._reused = False
        self._heard, self._silence, self._polled = 0, 0.0, time.monotonic()
        #: Every process that may still exist; the finalizer must not hold the client itself.
        self._alive: list[ChildProcess] = []
        weakref.finalize(self, _end, self._alive, closing_s)

    @property
    def busy(self) -> bool:
        """Whether a job is waiting, running, or done but not yet delivered by `poll`."""
        return bool(self._running or self._waiting or self._done)

    @property
    def pid(self) -> int | None:
        """Process number of the worker while there is one."""
        return None if self._process is None else self._process.pid

    def submit(
        self,
        job: Request,
        on_progress: Progress = silent,
        on_done: Callable[[Result], None] = lambda _registration: None,
        on_error: Callable[[VoxelMorphError], None] = lambda _error: None,
    ) -> Job:
        """Queue a job; exactly one of `on_done` and `on_error` is called for it, by `poll`.

        Args:
            job: what to compute; its arrays must not change before it is done.
            on_progress: receives the latest progress; may raise `Cancelled` to stop this job.
            on_done: receives the result.
            on_error: receives what went wrong, `Cancelled` after `cancel`.
        """
        submitted = Job(self, job, on_progress, on_done, on_error)
        self._count += 1
        submitted.number = self._count
        self._waiting.append(submitted)
        self._advance()
        return submitted

    def poll(self) -> None:
        """Deliver what has happened; call it some ten times per second. It never waits for the worker."""
        if self._process is not None:
            time.sleep(0.001)  # lets the threads run where the caller's event loop keeps Python's lock
        self._take_events()
        self._watch()
        self._advance()
        self._deliver()

    def cancel(self, job: Job) -> None:
        """Stop a job, ending the process if it runs; without effect on finished jobs."""
        self._stop(job, Cancelled("The registration was cancelled; nothing was changed."))

    def forget(self, job: Job) -> None:
        """Stop a job without calling back."""
        self.cancel(job)
        self._done = deque(item for item in self._done if item[0] is not job)
        if not job.ended:
            job.end(Cancelled("The registration was interrupted."), quietly=True)

    def close(self) -> None:
        """Forget all jobs for good, without calling back: end the process and wait until nothing of it is left."""
        forgotten = [*self._waiting, *(job for job, _outcome in self._done)]
        if self._running is not None:
            forgotten.append(self._running)
            if self._process is not None:
                self._process.kill()
        self._waiting.clear()
        self._done.clear()
        self._running = self._process = None
        for job in forgotten:
            job.end(Cancelled("The worker was closed before the registration was done."), quietly=True)
        _end(self._alive, self.closing_s)

    def run(self, job: Request, progress: Progress = silent, timeout_s: float | None = None) -> Result:
        """Register and wait for the result.

        Args:
            job: what to compute.
            progress: receives the progress; may raise `Cancelled`.
            timeout_s: seconds after which the job is stopped; None waits for ever.

        Raises:
            WorkerError: the process failed, or the time is up.
            VoxelMorphError: as `registration.register.register`.
        """
        try:
            return wait_for(self.submit(job, progress), timeout_s)
        except TimeoutError as error:
            raise WorkerError(f"The registration was stopped because it took more than {timeout_s:g} s.") from error

    def _stop(self, job: Job, error: VoxelMorphError) -> None:
        if job is self._running:
            self._drop_process()
            self._fail(job, error)
        elif job in self._waiting:
            self._waiting.remove(job)
            self._fail(job, error)

    def _take_events(self) -> None:
        process, exchange = self._process, self._exchange
        if process is None:
            return
        fault, has_ended = process.fault, process.gone.is_set()  # asked first: what it told before is taken before
        while process is self._process and not exchange.events.empty():
            self._take(exchange.events.get())
        if process is not self._process:
            return
        if fault is not None:
            self._drop_process()
            if self._running is not None:
                self._fail(self._running, fault)
        elif has_ended:
            self._take_end(process)

    def _take(self, event: Event) -> None:
        job = self._running
        if event.kind == "hello":
            self._greet(event.value)
        elif job is not None and event.job == job.number:
            job.begun = True
            if event.kind == "progress":
                job.news = event.value
            else:
                self._running = None
                self._done.append((job, event.value))

    def _greet(self, protocol: int) -> None:
        if protocol == PROTOCOL:
            self._greeted = True
            if self._running is not None:
                self._send(self._running)
            return
        self._drop_process()
        if self._running is not None:
            sentence = f"The worker process speaks version {protocol} of the protocol, this one {PROTOCOL}."
            self._fail(self._running, WorkerError(f"{sentence} Restart Slicer, so that both are of one installation."))

    def _send(self, job: Job) -> None:
        self._process.send(partial(self._exchange.written, job.number, job.request))

    def _take_end(self, process: ChildProcess) -> None:
        """The process is gone: expected when idle, a crash when a job runs."""
        job, started_before = self._running, self._reused
        self._drop_process()
        if job is None:
            return
        if started_before and not job.begun:  # it ended for idleness while the job was on its way
            self._running = None
            self._waiting.appendleft(job)
        else:
            self._fail(job, _crash(process.exit_code, process.last_words))

    def _watch(self) -> None:
        """Count the silence of a process that has work; time that the caller itself was away does not count."""
        now = time.monotonic()
        step, self._polled = min(now - self._polled, self.absence_s), now
        process, job = self._process, self._running
        if process is None or job is None or process.heard != self._heard:
            self._heard, self._silence = 0 if process is None else process.heard, 0.0
            return
        self._silence += step
        if self._silence > self.silence_s:
            words = process.last_words
            self._drop_process()
            sentence = f"The worker process has not answered for {self.silence_s:g} s and was ended. Register again."
            self._fail(job, WorkerError(sentence, words))

    def _advance(self) -> None:
        """Start the next job once nothing else runs and the last process has given its memory back."""
        self._alive[:] = [process for process in self._alive if not process.gone.is_set()]
        dying = [process for process in self._alive if process is not self._process]
        while self._running is None and self._waiting and not dying:
            job = self._running = self._waiting.popleft()
            self._silence = 0.0
            try:
                self._ensure_process()
            except VoxelMorphError as error:
                self._fail(job, error)
                continue
            if self._greeted:
                self._send(job)

    def _ensure_process(self) -> None:
        if self._process is not None and self._process.gone.is_set():
            self._process = None
        self._reused = self._process is not None
        if self._process is None:
            self._exchange, self._process = self._started()
            self._greeted, self._heard = False, 0
            self._alive.append(self._process)

    def _started(self) -> tuple[Exchange, ChildProcess]:
        """A new process; its threads must not hold the client."""
        exchange = Exchange(self.temporary_folder)
        command = [*(self.command or worker_command()), "--folder", str(exchange.folder), "--idle", str(self.idle_s)]
        process = ChildProcess(
            command,
            environment=self.environment,
            ending_s=self.ending_s,
            name="worker",
            hear=exchange.hear,
            at_end=partial(remove_folder, exchange.folder),
        )
        return exchange, process

    def _drop_process(self) -> None:
        """End the process without waiting for its end."""
        self._process.kill()
        self._process = None

    def _fail(self, job: Job, error: VoxelMorphError) -> None:
        if job is self._running:
            self._running = None
        job.news = None  # nobody hears of progress after the end
        self._done.append((job, error))

    def _deliver(self) -> None:
        if self._running is not None:
            self._report(self._running)
        while self._done:
            first = self._done[0]
            self._report(first[0])
            if self._done and self._done[0] is first:  # else a callback has polled, or closed this client
                self._done.popleft()
                job, outcome = first
                job.end(outcome)

    def _report(self, job: Job) -> None:
        try:
            job.report()
        except Cancelled as error:
            self._stop(job, error)


def _end(processes: list[ChildProcess], closing_s: float) -> None:
    """Ask all to end, end those that do not, and wait."""
    for process in processes:
        process.close()
    for process in processes:
        if not process.gone.wait(closing_s):
            process.kill()
            process.gone.wait(closing_s)
    processes.clear()


def _crash(code: int, words: str) -> WorkerError:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        ending = f"signal {-code}, {name}"
    else:
        ending = f"exit code {code}"
    hint = " The system may have ended it for lack of memory." if code == -9 else ""
    last = words.splitlines()[-1][:200] if words else ""
    heard = f" Its last words: {last}" if last else ""
    return WorkerError(
        f"The worker process ended unexpectedly ({ending}).{hint} Nothing was changed; register again.{heard}", words
    )
