"""JobRunner: jobs done one after the other, in this process or by a worker, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.progress import Progress, silent
from .install import load_torch

if TYPE_CHECKING:
    from ..registration.request import RegistrationRequest
    from ..registration.result import Registration
    from .background.worker import WorkerClient


class JobRunner:
    """Keeps a loaded network and affine starts for the next job.

    Args:
        worker: process that computes; None computes in this process.
    """

    def __init__(self, worker: WorkerClient | None = None):
        self.worker = worker
        self._cache = None

    def run(self, job: RegistrationRequest, progress: Progress = silent) -> Registration:
        """Register and wait for the result.

        Raises:
            DependencyError: this process cannot load torch.
            VoxelMorphError: see `registration.register.register`.
        """
        if self.worker is not None:
            return self.worker.run(job, progress)
        load_torch()
        from ..registration.cache import RegistrationCache
        from ..registration.network_cache import NetworkCache
        from ..registration.register import register

        self._cache = self._cache or RegistrationCache(NetworkCache(capacity=1))
        return register(job, progress, self._cache)
