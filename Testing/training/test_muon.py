"""Muon turns the gradients of convolutions into orthogonal steps, and leaves all other weights to Adam."""

from __future__ import annotations

import copy

import pytest
import torch
from support.tiny_networks import a_dense, a_pair
from torch.optim import Adam
from VoxelMorphLib.training.muon import ADAM_SHARE, Muon, orthogonal


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (6, 6)])
def test_all_directions_of_a_step_are_alike(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) + 20 * torch.randn(shape[0], 1) * torch.randn(1, shape[1])
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonal(matrix))
    assert before[0] > 20 * before[-1] and after[-1] > 0.5 and after[0] < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonal(matrix) @ right.T
    torch.testing.assert_close(turned, torch.diag(turned.diag()), atol=1e-3, rtol=0)
    assert not orthogonal(torch.zeros(2, 3)).any()


def a_network_with_gradients() -> torch.nn.Module:
    torch.manual_seed(0)
    network = a_dense(2)
    network(*a_pair((16, 16))).displacement.square().mean().backward()
    return network


def test_convolutions_are_turned_and_the_rest_steps_as_with_adam():
    network = a_network_with_gradients()
    other = copy.deepcopy(network)
    for ours, theirs in zip(network.parameters(), other.parameters()):
        theirs.grad = ours.grad.clone()
    before = copy.deepcopy(network.state_dict())
    Muon(network, lr=0.1).step()
    Adam(other.parameters(), lr=ADAM_SHARE * 0.1).step()
    alike = {name for name, weight in network.named_parameters() if torch.equal(weight, other.state_dict()[name])}
    assert alike == {name for name in before if name.endswith("bias") or name.startswith("flow")}
    moved = (network.unet.blocks[0].convolution.weight - before["unet.encoder.0.0.convolution.weight"]).flatten(1)
    assert (torch.linalg.svdvals(moved) / 0.1).min() > 0.5 and (torch.linalg.svdvals(moved) / 0.1).max() < 1.3


def test_its_state_goes_on_after_it_was_stored():
    network = a_network_with_gradients()
    other = copy.deepcopy(network)
    for ours, theirs in zip(network.parameters(), other.parameters()):
        theirs.grad = ours.grad.clone()
    first, second = Muon(network, lr=0.1), Muon(other, lr=0.1)
    first.step(), second.step()
    third = Muon(other, lr=0.5)
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    first.step(), third.step()
    for ours, theirs in zip(network.parameters(), other.parameters()):
        assert torch.equal(ours, theirs)
