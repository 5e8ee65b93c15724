"""Label maps that move with the images: units, partition of unity, both directions."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_dense, a_pair, filled, with_constant_flow
from torch.nn import functional
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.semi_supervised import VxmDenseSemiSupervisedSeg

SHAPE = (16, 12)


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
