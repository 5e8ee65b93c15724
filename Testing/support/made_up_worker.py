"""A worker for tests that answers when the test says so, with results that are known."""

from __future__ import annotations

from types import SimpleNamespace

from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.registration.request import RegistrationRequest

from support.known_registration import REPORT, known_forward, known_inverse


def known_result(job: RegistrationRequest) -> SimpleNamespace:
    """The known warp as the result of any job."""
    forward = known_forward()
    moved = forward.resample(job.moving, job.fixed.geometry, background=0)
    return SimpleNamespace(moved=moved, forward=forward, inverse=known_inverse(), report=REPORT)


class MadeUpWorker:
    """Keeps submitted jobs until `poll`; `work` turns a job into a registration or raises."""

    def __init__(self, work=known_result):
        self.work, self.jobs, self.waiting = work, [], []

    def submit(self, job, on_progress=silent, on_done=None, on_error=None):
        handle = SimpleNamespace(job=job, on_progress=on_progress, on_done=on_done, on_error=on_error)
        self.jobs.append(job)
        self.waiting.append(handle)
        return handle

    def poll(self):
        while self.waiting:
            handle = self.waiting.pop(0)
            handle.on_progress(0.5, "half way")
            try:
                result = self.work(handle.job)
            except Exception as error:
                handle.on_error(error)
            else:
                handle.on_done(result)

    def cancel(self, handle):
        self.waiting.remove(handle)
        handle.on_error(Cancelled("The registration was cancelled."))

    def run(self, job, progress=silent, timeout_s=None):
        self.jobs.append(job)
        progress(0.5, "half way")
        return self.work(job)
