"""Affine starts and optimisations of a few steps instead of a second's, for tests of everything around them.

An optimisation that may take a minute or longer is left as it is: a test means to interrupt it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from VoxelMorphLib.registration import initialisation, pose_search, predictor
from VoxelMorphLib.registration.effort import EFFORTS, Effort, Level
from VoxelMorphLib.registration.optimise import VelocityOptimiser

#: Enough to bend the field at every resolution; not enough to align anything.
FEW = (Level(4, 2), Level(2, 2), Level(1, 2))
#: Seconds of budget from which on all steps are taken.
LONG_S = 60
#: Of the affine start at each resolution, which cannot tell what is mirrored then.
STEPS = {"ITERATIONS": 3, "MIRROR_GAIN": float("inf")}
#: It looks at the headers and at equal centres alone.
POSES = {"ROTATIONS": 1, "NEAR_CLIMBS": 0, "FAR_CLIMBS": 0, "SWEEPS": 0, "TRIAL_ANGLES_DEG": (0.0,)}

#: The same for a worker process, as code for `workers.patched_command`; torch is still loaded by its first job.
IN_WORKER = """
def _library(self, loaded=worker.Worker._library):
    register = loaded(self)
    from dataclasses import replace
    from VoxelMorphLib.registration import effort, initialisation, optimise, pose_search, predictor
    few = tuple(effort.Level(reduction, 2) for reduction in (4, 2, 1))
    def optimiser(smoothness, budget_s, similarity, name, **more):
        usual = effort.EFFORTS[name]
        wanted = replace(usual, levels=few, refining=few) if budget_s < 60 else usual
        return optimise.VelocityOptimiser(smoothness, budget_s, similarity, wanted, **more)
    predictor.VelocityOptimiser = optimiser
    initialisation.ITERATIONS, pose_search.ROTATIONS, pose_search.TRIAL_ANGLES_DEG = 3, 1, (0.0,)
    initialisation.MIRROR_GAIN = float("inf")
    pose_search.NEAR_CLIMBS = pose_search.FAR_CLIMBS = pose_search.SWEEPS = 0
    return register
worker.Worker._library = _library
"""


@contextmanager
def few_steps() -> Iterator[None]:
    """Inside the block registrations take a few steps; the result is the same on every machine."""
    with (
        patch.object(predictor, "VelocityOptimiser", _optimiser),
        patch.multiple(initialisation, **STEPS),
        patch.multiple(pose_search, **POSES),
    ):
        yield


def effort_of(*levels: Level, like: str = "balanced") -> Effort:
    """An effort with these levels, from zero and after a start, and the limits of another one."""
    return replace(EFFORTS[like], levels=levels, refining=levels)


def _optimiser(
    smoothness: float, budget_s: float, similarity: str, effort: str, **more: Sequence[str]
) -> VelocityOptimiser:
    wanted = effort_of(*FEW, like=effort) if budget_s < LONG_S else effort
    return VelocityOptimiser(smoothness, budget_s, similarity, wanted, **more)
