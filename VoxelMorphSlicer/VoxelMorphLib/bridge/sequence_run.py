"""A sequence registered through a worker in the background, one frame after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.errors import VoxelMorphError
from ..core.progress import Progress
from .actions.sequences import FrameByFrame, SequenceJob, SequenceResult

if TYPE_CHECKING:
    from ..registration.result import Registration
    from .background.worker import JobHandle, WorkerClient


class SequenceRun:
    """Begins with the first frame; `worker.poll()` leads from one frame to the next.

    The results stay outside of the scene until the last frame is done.

    Args:
        job: which sequence, and how.
        worker: process that computes.
        on_progress: called with a fraction of the whole and a text that names the frame.
        on_finished: called with the nodes, once they are in the scene.
        on_failed: called with what went wrong, `Cancelled` included; the scene is unchanged.

    Raises:
        VoxelMorphError: the sequence, the reference or the mask is unfit; see `FrameByFrame`.
    """

    def __init__(
        self,
        job: SequenceJob,
        worker: WorkerClient,
        on_progress: Progress,
        on_finished: Callable[[SequenceResult], None],
        on_failed: Callable[[Exception], None],
    ):
        self._series, self._worker = FrameByFrame(job), worker
        self._on_progress, self._on_finished, self._on_failed = on_progress, on_finished, on_failed
        self._handle: JobHandle | None = None
        self._begin(0)

    def cancel(self) -> None:
        """Stop; `on_failed` gets `Cancelled` from the worker's next poll, and nothing is kept."""
        if self._handle is not None:
            self._worker.cancel(self._handle)

    def _begin(self, index: int) -> None:
        """Submit a frame; the reference frame is passed over."""
        job = None
        while job is None and index < len(self._series):
            job = self._series.frame_job(index)
            index += job is None
        if job is None:
            self._handle = None
            self._on_finished(self._series.write())
            return
        report = self._series.progress(self._on_progress, index)
        report(0.0, "reading")
        self._handle = self._worker.submit(
            job,
            report,
            lambda registration: self._take(index, registration),
            lambda error: self._fail(self._series.named(error, index)),
        )

    def _take(self, index: int, registration: Registration) -> None:
        try:
            self._series.take(index, registration)
            self._begin(index + 1)
        except VoxelMorphError as error:
            self._fail(error)
        except Exception as error:  # the caller waits for exactly one answer, whatever a node or VTK does
            logging.exception("Registering the sequence failed")
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._handle = None
        self._on_failed(error)
