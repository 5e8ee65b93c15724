"""Surface points that travel with the displacement and read the other image's distance map."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_pair, filled, with_constant_flow
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.spatial import identity_grid
from VoxelMorphLib.networks.semi_supervised_surface import VxmDenseSemiSupervisedPointCloud

SHAPE = (33, 33)
RADII = torch.tensor([5.0, 9.0])
SHIFT = 3.0


def a_network(**options) -> VxmDenseSemiSupervisedPointCloud:
    return filled(VxmDenseSemiSupervisedPointCloud(2, **{"features": TINY, "int_resolution": 1, **options}))


def distances(centre: float, scale: int = 1) -> torch.Tensor:
    """(1, 2, *coarse): signed distance from two circles, on a grid whose corners are those of SHAPE."""
    coarse = [(n - 1) // scale + 1 for n in SHAPE]
    grid = identity_grid(coarse) * scale
    return ((grid - centre).norm(dim=1, keepdim=True) - RADII.view(1, 2, 1, 1)) / scale


def points(centre: float) -> torch.Tensor:
    """(1, 16, 3): eight points on each circle."""
    angles = torch.arange(8) * torch.pi / 4
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    circles = [torch.cat([centre + r * directions, torch.full((8, 1), i)], dim=1) for i, r in enumerate(RADII)]
    return torch.cat(circles)[None]


@pytest.mark.parametrize("scale", [1, 2])
def test_the_right_displacement_brings_surfaces_together(scale):
    """The moving circles lie SHIFT voxels further along both axes: the pull displacement is +SHIFT."""
    network = with_constant_flow(a_network(), SHIFT)
    moving, fixed = distances(16 + SHIFT, scale), distances(16, scale)
    output = network(*a_pair(SHAPE), moving, points(16), fixed, points(16 + SHIFT))
    assert output.distance.max() < 0.1
    assert output.fixed_distance.max() < 0.1


def test_without_displacement_the_distances_are_those_of_the_points():
    network = with_constant_flow(a_network(), 0.0)
    output = network(*a_pair(SHAPE), distances(16 + SHIFT), points(16))
    expected = (points(16)[..., :2] - 16 - SHIFT).norm(dim=2) - RADII.repeat_interleave(8)
    torch.testing.assert_close(output.distance, expected.abs(), rtol=0, atol=0.2)
    assert output.fixed_distance is None


def test_every_point_reads_the_map_of_its_own_label():
    network = with_constant_flow(a_network(), 0.0)
    maps = torch.stack([torch.full(SHAPE, -1.0), torch.full(SHAPE, 2.0)])[None]
    output = network(*a_pair(SHAPE), maps, points(16))
    torch.testing.assert_close(output.distance, torch.tensor([1.0, 2.0]).repeat_interleave(8)[None])


def test_gradients_flow_from_surfaces_into_the_network():
    network = a_network()
    output = network(*a_pair(SHAPE), distances(18), points(16), distances(16), points(18))
    (output.distance.square().mean() + output.fixed_distance.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_both_directions_need_both_inputs():
    with pytest.raises(GeometryError, match="both fixed_distance and moving_surface"):
        a_network()(*a_pair(SHAPE), distances(16), points(16), distances(16))


@pytest.mark.parametrize(
    "surface", [points(16)[..., :2], points(16) + torch.tensor([0, 0, 1]), points(16) - torch.tensor([0, 0, 1])]
)
def test_points_without_a_known_label_are_refused(surface):
    with pytest.raises(GeometryError, match="do not fit 2 distance maps of 2 axes"):
        a_network()(*a_pair(SHAPE), distances(16), surface)
