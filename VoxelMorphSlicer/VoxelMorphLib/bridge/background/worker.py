"""WorkerClient: registrations in a warm child process; needs neither Qt nor a scene, only somebody who calls poll."""

from __future__ import annotations

import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import Cancelled, VoxelMorphError, WorkerError
from ...core.progress import Progress, silent
from ...registration.request import RegistrationRequest
from ...registration.result import Registration
from ...worker.protocol import PROTOCOL
from .worker_process import Event, WorkerProcess, worker_command

#: Longest time between two polls that counts as silence of the process, not as absence of the caller.
POLL_S = 1.0
#: Seconds that a process may take to end by itself when it is shut down.
CLOSING_S = 2.0


@dataclass(eq=False)
class JobHandle:
    """A submitted job; opaque to callers."""

    number: int
    job: RegistrationRequest
    on_progress: Progress
    on_done: Callable[[Registration], None]
    on_error: Callable[[VoxelMorphError], None]
    begun: bool = False
    progress: tuple[float, str] | None = None


class WorkerClient:
    """Registers one pair after the other in a child process that keeps torch and the models loaded.

    The process starts with the first job. After a cancelled job, a crash or a long idle time the next job starts a new
    one. All callbacks come from `poll`, in the caller's thread.

    Args:
        command: that starts the worker; None takes this library's own.
        idle_s: seconds without a job after which the process ends.
        environment: variables for the process, in addition to the caller's.
        silence_s: seconds without any sign of life after which the process is ended.
        temporary_folder: where arrays are exchanged; None takes the system's.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        idle_s: float = 600.0,
        environment: Mapping[str, str] | None = None,
        silence_s: float = 120.0,
        temporary_folder: Path | None = None,
    ):
        self.command, self.idle_s, self.silence_s = command, idle_s, silence_s
        self.environment, self.temporary_folder = dict(environment or {}), temporary_folder
        self._waiting: deque[JobHandle] = deque()
        self._outcomes: deque[Callable[[], None]] = deque()
        self._running: JobHandle | None = None
        self._count = 0
        self._process: WorkerProcess | None = None
        self._greeted = self._reused = False
        self._heard, self._silence, self._polled = 0, 0.0, time.monotonic()
        #: Every process that may still exist; the finalizer must not hold the client itself.
        self._alive: list[WorkerProcess] = []
        weakref.finalize(self, _end, self._alive)

    @property
    def busy(self) -> bool:
        """Whether a job is waiting, running, or done but not yet delivered by `poll`."""
        return bool(self._running or self._waiting or self._outcomes)

    @property
    def pid(self) -> int | None:
        """Process number of the worker while there is one."""
        return None if self._process is None else self._process.pid

    def submit(
        self,
        job: RegistrationRequest,
        on_progress: Progress = silent,
        on_done: Callable[[Registration], None] = lambda _registration: None,
        on_error: Callable[[VoxelMorphError], None] = lambda _error: None,
    ) -> JobHandle:
        """Queue a job; exactly one of `on_done` and `on_error` is called for it, by `poll`.

        Args:
            job: what to register; its arrays must not change before it is done.
            on_progress: receives the latest progress; may raise `Cancelled` to stop this job.
            on_done: receives the result.
            on_error: receives what went wrong, `Cancelled` after `cancel`.
        """
        self._count += 1
        handle = JobHandle(self._count, job, on_progress, on_done, on_error)
        self._waiting.append(handle)
        self._advance()
        return handle

    def poll(self) -> None:
        """Deliver what has happened; call it some ten times per second. It never waits for the worker."""
        if self._process is not None:
            time.sleep(0.001)  # lets the threads run where the caller's event loop keeps Python's lock
        self._take_events()
        self._watch()
        self._advance()
        self._deliver()

    def cancel(self, handle: JobHandle) -> None:
        """Stop a job, ending the process if it runs; without effect on finished jobs."""
        self._cancel(handle, Cancelled("The registration was cancelled; nothing was changed."))

    def close(self) -> None:
        """Forget all jobs for good, without calling back: end the process and wait until nothing of it is left."""
        if self._running is not None and self._process is not None:
            self._process.kill()
        self._waiting.clear()
        self._outcomes.clear()
        self._running = self._process = None
        _end(self._alive)

    def run(
        self, job: RegistrationRequest, progress: Progress = silent, timeout_s: float | None = None
    ) -> Registration:
        """Register and wait for the result.

        Args:
            job: what to register.
            progress: receives the progress; may raise `Cancelled`.
            timeout_s: seconds after which the job is stopped; None waits for ever.

        Raises:
            WorkerError: the process failed, or the time is up.
            VoxelMorphError: as `registration.register.register`.
        """
        outcome: list[Registration | VoxelMorphError] = []
        handle = self.submit(job, progress, outcome.append, outcome.append)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while not outcome:
                if deadline is not None and time.monotonic() > deadline:
                    sentence = f"The registration was stopped because it took more than {timeout_s:g} s."
                    self._cancel(handle, WorkerError(sentence))
                self.poll()
                if not outcome and handle is not self._running and handle not in self._waiting:
                    raise Cancelled("The worker was closed before the registration was done.")
                time.sleep(0.01)
        except BaseException:
            self._cancel(handle, Cancelled("The registration was interrupted."))
            raise
        if isinstance(outcome[0], VoxelMorphError):
            raise outcome[0]
        return outcome[0]

    def _cancel(self, handle: JobHandle, error: VoxelMorphError) -> None:
        if handle is self._running:
            self._drop_process()
            self._fail(handle, error)
        elif handle in self._waiting:
            self._waiting.remove(handle)
            self._fail(handle, error)

    def _take_events(self) -> None:
        process = self._process
        while process is not None and process is self._process and not process.events.empty():
            self._take(process.events.get())

    def _take(self, event: Event) -> None:
        handle = self._running
        if event.kind == "hello":
            self._greet(event.value)
        elif event.kind == "ended":
            self._take_end(event.value)
        elif event.kind == "broken":
            self._drop_process()
            if handle is not None:
                self._fail(handle, event.value)
        elif handle is not None and event.job == handle.number:
            handle.begun = True
            if event.kind == "progress":
                handle.progress = event.value
            else:
                self._finish(handle, event)

    def _greet(self, protocol: int) -> None:
        if protocol == PROTOCOL:
            self._greeted = True
            if self._running is not None:
                self._process.send(self._running.number, self._running.job)
            return
        self._drop_process()
        if self._running is not None:
            sentence = f"The worker process speaks version {protocol} of the protocol, this one {PROTOCOL}."
            self._fail(self._running, WorkerError(f"{sentence} Restart Slicer, so that both are of one installation."))

    def _take_end(self, code: int) -> None:
        """The process is gone: expected when idle, a crash when a job runs."""
        handle, words, started_before = self._running, self._process.last_words, self._reused
        self._drop_process()
        if handle is None:
            return
        if started_before and not handle.begun:  # it ended for idleness while the job was on its way
            self._running = None
            self._waiting.appendleft(handle)
        else:
            self._fail(handle, _crash(code, words))

    def _watch(self) -> None:
        """Count the silence of a process that has work; time that the caller itself was away does not count."""
        now = time.monotonic()
        step, self._polled = min(now - self._polled, POLL_S), now
        process, handle = self._process, self._running
        if process is None or handle is None or process.heard != self._heard:
            self._heard, self._silence = 0 if process is None else process.heard, 0.0
            return
        self._silence += step
        if self._silence > self.silence_s:
            words = process.last_words
            self._drop_process()
            sentence = f"The worker process has not answered for {self.silence_s:g} s and was ended. Register again."
            self._fail(handle, WorkerError(sentence, words))

    def _advance(self) -> None:
        """Start the next job once nothing else runs and the last process has given its memory back."""
        self._alive[:] = [process for process in self._alive if not process.gone.is_set()]
        dying = [process for process in self._alive if process is not self._process]
        while self._running is None and self._waiting and not dying:
            handle = self._running = self._waiting.popleft()
            self._silence = 0.0
            try:
                self._ensure_process()
            except VoxelMorphError as error:
                self._fail(handle, error)
                continue
            if self._greeted:
                self._process.send(handle.number, handle.job)

    def _ensure_process(self) -> None:
        if self._process is not None and self._process.gone.is_set():
            self._process = None
        self._reused = self._process is not None
        if self._process is None:
            command = self.command or worker_command()
            self._process = WorkerProcess(command, self.environment, self.temporary_folder, self.idle_s)
            self._greeted, self._heard = False, 0
            self._alive.append(self._process)

    def _drop_process(self) -> None:
        """End the process without waiting for its end."""
        self._process.kill()
        self._process = None

    def _finish(self, handle: JobHandle, event: Event) -> None:
        self._running = None
        callback = handle.on_done if event.kind == "result" else handle.on_error
        self._outcomes.append(lambda: self._report(handle))
        self._outcomes.append(lambda: callback(event.value))

    def _fail(self, handle: JobHandle, error: VoxelMorphError) -> None:
        if handle is self._running:
            self._running = None
        self._outcomes.append(lambda: handle.on_error(error))

    def _deliver(self) -> None:
        if self._running is not None:
            self._report(self._running)
        while self._outcomes:
            self._outcomes.popleft()()

    def _report(self, handle: JobHandle) -> None:
        """The latest progress, once."""
        if handle.progress is not None:
            latest, handle.progress = handle.progress, None
            try:
                handle.on_progress(*latest)
            except Cancelled as error:
                self._cancel(handle, error)


def _end(processes: list[WorkerProcess]) -> None:
    """Ask all to end, end those that do not, and wait."""
    for process in processes:
        process.close()
    for process in processes:
        if not process.gone.wait(CLOSING_S):
            process.kill()
            process.gone.wait(CLOSING_S)
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
