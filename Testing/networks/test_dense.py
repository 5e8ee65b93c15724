"""VxmDense: its size, its first weights, and the resolution of its tensors."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_dense, a_pair
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.networks.dense import VxmDense


@pytest.mark.parametrize(("svf_resolution", "count"), [(1, 327_331), (2, 313_507)])
def test_the_number_of_weights_is_that_of_the_original(svf_resolution, count):
    network = VxmDense(svf_resolution=svf_resolution)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_first_weights_hardly_move_anything():
    torch.manual_seed(0)
    network = VxmDense(2, use_probs=True)
    assert network.flow.weight.std().item() == pytest.approx(1e-5, rel=0.2)
    assert not network.flow.bias.any()
    assert network.logvar.weight.std().item() == pytest.approx(1e-10, rel=0.2)
    assert network.logvar.bias.tolist() == [-10, -10]


@pytest.mark.parametrize(
    ("svf_resolution", "int_resolution", "svf", "velocity"),
    [(1, 2, 24, 12), (2, 2, 12, 12), (2, 1, 12, 12), (4, 2, 6, 12), (1.5, 2, 16, 12), (1, 1, 24, 24), (3, 3, 8, 8)],
)
def test_tensors_have_the_resolutions_asked_for(svf_resolution, int_resolution, svf, velocity):
    network = a_dense(2, svf_resolution=svf_resolution, int_resolution=int_resolution)
    output = network(*a_pair((24, 24)))
    assert output.svf.shape[-1] == svf
    assert output.velocity.shape[-1] == output.integrated.shape[-1] == velocity
    assert output.displacement.shape[-1] == 24


def test_the_multiple_is_that_of_the_encoder():
    assert a_dense(2).multiple == 4
    assert VxmDense().multiple == 16


def test_a_velocity_coarser_than_the_bottleneck_is_refused():
    with pytest.raises(ConfigError, match="allows 0 to 2"):
        a_dense(2, svf_resolution=8)
