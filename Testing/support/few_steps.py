"""Optimisations of a few steps instead of a second's, for tests of everything around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from VoxelMorphLib.registration import predictor
from VoxelMorphLib.registration.optimise import Level, VelocityOptimiser

#: Enough to bend the field at every resolution; not enough to align anything.
FEW = (Level(4, 2), Level(2, 2), Level(1, 2))

#: The same for a worker process, as code for `workers.patched_command`; torch is still loaded by its first job.
IN_WORKER = """
def _library(self, loaded=worker.Worker._library):
    register = loaded(self)
    from functools import partial
    from VoxelMorphLib.registration import predictor, optimise
    levels = tuple(optimise.Level(reduction, 2) for reduction in (4, 2, 1))
    predictor.VelocityOptimiser = partial(optimise.VelocityOptimiser, levels=levels)
    return register
worker.Worker._library = _library
"""


@contextmanager
def few_steps() -> Iterator[None]:
    """Inside the block `optimise` takes a few steps; the result is the same on every machine."""
    with patch.object(predictor, "VelocityOptimiser", partial(VelocityOptimiser, levels=FEW)):
        yield
