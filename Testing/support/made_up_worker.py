"""A worker for tests that answers when the test says so, with results that are known."""

from __future__ import annotations

from types import SimpleNamespace

from VoxelMorphLib.bridge.background.worker import Job
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

    def submit(self, job, on_progress=silent):
        submitted = Job(self, job, on_progress)
        self.jobs.append(job)
        self.waiting.append(submitted)
        return submitted

    def poll(self):
        while self.waiting:
            job = self.waiting.pop(0)
            job.news = (0.5, "half way")
            job.report()
            try:
                result = self.work(job.request)
            except Exception as error:
                job.end(error)
            else:
                job.end(result)

    def cancel(self, job):
        self.waiting.remove(job)
        job.end(Cancelled("The registration was cancelled."))

    forget = cancel

    def run(self, job, progress=silent, timeout_s=None):
        self.jobs.append(job)
        progress(0.5, "half way")
        return self.work(job)
