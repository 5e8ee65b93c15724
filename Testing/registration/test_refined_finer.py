"""A network on coarse voxels is only the start: what follows it is optimised on voxels of the pair's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.few_steps import effort_of
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.core.transform import IDENTITY
from VoxelMorphLib.networks.fields import FieldPair
from VoxelMorphLib.registration.alignment import align
from VoxelMorphLib.registration.effort import Level
from VoxelMorphLib.registration.optimise import VelocityOptimiser
from VoxelMorphLib.registration.predictor import Predictor
from VoxelMorphLib.weights.catalogue import find_entry

#: What the network finds, mm along its axes.
SHIFT_MM = 3.0


class Watched(VelocityOptimiser):
    """Keeps the displacement that it begins with."""

    def __init__(self):
        super().__init__(effort=effort_of(Level(1, 1)))

    def fields(self, moving, fixed, progress=silent, fixed_mask=None, moving_mask=None, start=None, guides=None):
        self.start = start
        return super().fields(moving, fixed, progress, fixed_mask, moving_mask, start, guides)


def a_predictor(voxel_size: float | None) -> Predictor:
    """A network that shifts everything along its first axis, and one step of optimisation."""

    def shifted(moving, fixed, details, progress):
        displacement = torch.zeros(1, 3, *fixed.shape[2:])
        displacement[:, 0] = SHIFT_MM / (voxel_size or 1.0)
        return FieldPair(None, displacement, -displacement)

    space = NetworkSpace(voxel_size=voxel_size, intensity="percentile")
    entry = replace(find_entry("hippocampus-T1"), space=space)
    return Predictor(entry, "cpu", shifted, Watched())


@pytest.mark.parametrize("name", ["RAS", "oblique"])
@pytest.mark.parametrize(("voxel_size", "is_finer"), [(4.0, True), (1.0, False), (None, False)])
def test_a_coarse_network_is_refined_on_the_voxels_of_the_pair(name, voxel_size, is_finer):
    fixed, moving = (a_blob_image(a_geometry(name, (24, 24, 24), 1.0), seed) for seed in (0, 1))
    predictor = a_predictor(voxel_size)
    assert predictor.is_too_coarse(fixed, moving) == is_finer
    alignment = align(fixed, moving, IDENTITY, predictor, silent)
    start = predictor.optimiser.start
    assert min(start.shape[2:]) >= 20, "the optimisation sees every voxel"
    np.testing.assert_allclose(start.square().sum(1).sqrt().numpy(), SHIFT_MM, rtol=1e-4)
    centre = fixed.geometry.centre
    found = alignment.forward.apply_to_points(centre) - centre
    assert abs(np.linalg.norm(found) - SHIFT_MM) < 1.5
    back = alignment.inverse.apply_to_points(alignment.forward.apply_to_points(centre))
    assert np.linalg.norm(back - centre) < 0.1


def test_nothing_changes_without_a_refinement():
    image = a_blob_image(a_geometry("RAS", (24, 24, 24), 1.0))
    assert not replace(a_predictor(4.0), optimiser=None).is_too_coarse(image, image)
    assert not replace(a_predictor(4.0), predict=None).is_too_coarse(image, image)


@pytest.mark.parametrize(("most", "is_refined"), [(500, True), (300, False)])
def test_fewer_voxels_than_the_pair_has_are_worth_it_while_they_are_finer_than_the_network(most, is_refined):
    image = a_blob_image(a_geometry("RAS", (24, 24, 24), 1.0))
    predictor = a_predictor(4.0)
    predictor.optimiser.effort = replace(predictor.optimiser.effort, voxels=most)
    assert predictor.is_too_coarse(image, image) == is_refined
