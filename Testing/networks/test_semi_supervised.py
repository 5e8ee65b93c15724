"""Label maps and surface points that move with the images: units, partition of unity, both directions."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_dense, a_pair, filled, with_constant_flow
from support.voxel_grid import identity_grid
from torch.nn import functional
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.semi_supervised import VxmDenseSemiSupervisedPointCloud, VxmDenseSemiSupervisedSeg

SHAPE = (16, 12)

SURFACE_SHAPE = (33, 33)
RADII = torch.tensor([5.0, 9.0])
SHIFT = 3.0


def a_network(ndims: int = 2, **options) -> VxmDenseSemiSupervisedSeg:
    return filled(VxmDenseSemiSupervisedSeg(ndims, **{"features": TINY, **options}))


def some_labels(shape: tuple[int, ...], count: int = 3, seed: int = 0) -> torch.Tensor:
    """(1, count, *shape), one-hot."""
    labels = torch.randint(count, shape, generator=torch.Generator().manual_seed(seed))
    return functional.one_hot(labels, count).movedim(-1, 0)[None].float()


@pytest.mark.parametrize("resolution", [1, 2, 4])
def test_labels_move_by_the_displacement_in_their_own_voxels(resolution):
    network = with_constant_flow(a_network(label_resolution=resolution, int_resolution=1, bidir=True), 4.0)
    coarse = tuple(n // resolution for n in (32, 32))
    labels, step = some_labels(coarse), 4 // resolution
    output = network(*a_pair((32, 32)), labels, labels)
    last = coarse[0] - step
    torch.testing.assert_close(output.moved_labels[:, :, :last, :last], labels[:, :, step:, step:])
    torch.testing.assert_close(output.moved_fixed_labels[:, :, step:, step:], labels[:, :, :last, :last])


@pytest.mark.parametrize("ndims", [1, 2, 3])
def test_moved_labels_still_add_up_to_one(ndims):
    shape = SHAPE + (8,)
    output = a_network(ndims)(*a_pair(shape[:ndims]), some_labels(tuple(n // 2 for n in shape[:ndims])))
    torch.testing.assert_close(output.moved_labels.sum(1), torch.ones_like(output.moved_labels[:, 0]))
    assert output.moved_labels.min() >= 0


def test_the_registration_is_that_of_a_dense_network_with_the_same_weights():
    network, dense = a_network(), a_dense(2)
    dense.load_state_dict(network.state_dict())
    output = network(*a_pair(SHAPE), some_labels((8, 6)))
    assert torch.equal(output.registration.displacement, dense(*a_pair(SHAPE)).displacement)
    assert output.moved_fixed_labels is None
    assert torch.equal(network.fields(*a_pair(SHAPE)).displacement, dense.fields(*a_pair(SHAPE)).displacement)


def test_gradients_flow_from_labels_into_the_network():
    network = a_network(bidir=True)
    output = network(*a_pair(SHAPE), some_labels((8, 6)), some_labels((8, 6), seed=1))
    (output.moved_labels * output.moved_fixed_labels).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_odd_extents_may_be_rounded_up_or_down():
    network = a_network()
    for coarse in ((8, 6), (9, 7)):
        assert network(*a_pair((17, 13)), some_labels(coarse)).moved_labels.shape[2:] == coarse


@pytest.mark.parametrize("shape", [(16, 12), (8, 8), (8,)])
def test_labels_of_another_grid_are_refused(shape):
    with pytest.raises(GeometryError, match="do not lie 2 voxels apart on images of"):
        a_network()(*a_pair(SHAPE), some_labels(shape))


def test_the_fixed_labels_need_an_inverse():
    with pytest.raises(GeometryError, match="bidir=True"):
        a_network()(*a_pair(SHAPE), some_labels((8, 6)), some_labels((8, 6)))


def test_an_impossible_resolution_is_refused():
    with pytest.raises(ConfigError, match="label_resolution is 0"):
        a_network(label_resolution=0)


def a_surface_network(**options) -> VxmDenseSemiSupervisedPointCloud:
    return filled(VxmDenseSemiSupervisedPointCloud(2, **{"features": TINY, "int_resolution": 1, **options}))


def distances(centre: float, scale: int = 1) -> torch.Tensor:
    """(1, 2, *coarse): signed distance from two circles, on a grid whose corners are those of SURFACE_SHAPE."""
    coarse = [(n - 1) // scale + 1 for n in SURFACE_SHAPE]
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
    network = with_constant_flow(a_surface_network(), SHIFT)
    moving, fixed = distances(16 + SHIFT, scale), distances(16, scale)
    output = network(*a_pair(SURFACE_SHAPE), moving, points(16), fixed, points(16 + SHIFT))
    assert output.distance.max() < 0.1
    assert output.fixed_distance.max() < 0.1


def test_without_displacement_the_distances_are_those_of_the_points():
    network = with_constant_flow(a_surface_network(), 0.0)
    output = network(*a_pair(SURFACE_SHAPE), distances(16 + SHIFT), points(16))
    expected = (points(16)[..., :2] - 16 - SHIFT).norm(dim=2) - RADII.repeat_interleave(8)
    torch.testing.assert_close(output.distance, expected.abs(), rtol=0, atol=0.2)
    assert output.fixed_distance is None


def test_every_point_reads_the_map_of_its_own_label():
    network = with_constant_flow(a_surface_network(), 0.0)
    maps = torch.stack([torch.full(SURFACE_SHAPE, -1.0), torch.full(SURFACE_SHAPE, 2.0)])[None]
    output = network(*a_pair(SURFACE_SHAPE), maps, points(16))
    torch.testing.assert_close(output.distance, torch.tensor([1.0, 2.0]).repeat_interleave(8)[None])


def test_gradients_flow_from_surfaces_into_the_network():
    network = a_surface_network()
    output = network(*a_pair(SURFACE_SHAPE), distances(18), points(16), distances(16), points(18))
    (output.distance.square().mean() + output.fixed_distance.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_both_directions_need_both_inputs():
    with pytest.raises(GeometryError, match="both fixed_distance and moving_surface"):
        a_surface_network()(*a_pair(SURFACE_SHAPE), distances(16), points(16), distances(16))


@pytest.mark.parametrize(
    "surface", [points(16)[..., :2], points(16) + torch.tensor([0, 0, 1]), points(16) - torch.tensor([0, 0, 1])]
)
def test_points_without_a_known_label_are_refused(surface):
    with pytest.raises(GeometryError, match="do not fit 2 distance maps of 2 axes"):
        a_surface_network()(*a_pair(SURFACE_SHAPE), distances(16), surface)
