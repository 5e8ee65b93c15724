"""Affine starts and optimisations of a few steps instead of a second's, for tests of everything around them.

An optimisation that may take a minute or longer is left as it is: a test means to interrupt it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from VoxelMorphLib.registration import initialisation, predictor
from VoxelMorphLib.registration.optimise import LEVELS, Level, VelocityOptimiser

#: Enough to bend the field at every resolution; not enough to align anything.
FEW = (Level(4, 2), Level(2, 2), Level(1, 2))
#: Seconds of budget from which on all steps are taken.
LONG_S = 60
#: Of the affine start at each resolution, and the only tilt that it tries.
ITERATIONS, ANGLES_DEG = 3, (0.0,)

#: The same for a worker process, as code for `workers.patched_command`; torch is still loaded by its first job.
IN_WORKER = """
def _library(self, loaded=worker.Worker._library):
    register = loaded(self)
    from VoxelMorphLib.registration import initialisation, optimise, predictor
    few = tuple(optimise.Level(reduction, 2) for reduction in (4, 2, 1))
    def optimiser(smoothness, budget_s):
        return optimise.VelocityOptimiser(smoothness, budget_s, levels=few if budget_s < 60 else optimise.LEVELS)
    predictor.VelocityOptimiser = optimiser
    initialisation.ITERATIONS, initialisation.TRIAL_ANGLES_DEG = 3, (0.0,)
    return register
worker.Worker._library = _library
"""


@contextmanager
def few_steps() -> Iterator[None]:
    """Inside the block registrations take a few steps; the result is the same on every machine."""
    with (
        patch.object(predictor, "VelocityOptimiser", _optimiser),
        patch.multiple(initialisation, ITERATIONS=ITERATIONS, TRIAL_ANGLES_DEG=ANGLES_DEG),
    ):
        yield


def _optimiser(smoothness: float, budget_s: float) -> VelocityOptimiser:
    return VelocityOptimiser(smoothness, budget_s, levels=FEW if budget_s < LONG_S else LEVELS)
