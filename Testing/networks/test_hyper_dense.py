"""HyperVxmDense: one network for all hyperparameters, and the ordinary network for one of them."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_pair, filled
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.networks.hyper_dense import HyperVxmDense
from VoxelMorphLib.networks.unet import set_unet_precision


def a_hyper(ndims: int = 2, **options) -> HyperVxmDense:
    return filled(HyperVxmDense(ndims, **{"features": TINY, "hyper_layers": 2, "hyper_units": 4, **options}), size=3)


@pytest.fixture
def pair() -> list[torch.Tensor]:
    return a_pair((16, 12), batch=3)


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_number_of_weights_is_that_of_the_original():
    with torch.device("meta"):
        assert count(HyperVxmDense(svf_resolution=2)) == 40_358_947


def test_hyperparameters_change_the_fields(pair):
    network = a_hyper()
    low, high = (network(*pair, [value]).displacement for value in (0.0, 1.0))
    assert (low - high).abs().max() > 1e-2


def test_a_trained_network_is_where_it_starts_for_all_hyperparameters(pair):
    dense, network = filled(VxmDense(2, features=TINY), size=3), a_hyper()
    network.start_from(dense)
    for value in (0.0, 0.3, 1.0):
        torch.testing.assert_close(network(*pair, [value]).displacement, dense(*pair).displacement)
    network(*pair, [0.5]).displacement.square().sum().backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in network.unet.generated)


def test_a_network_of_other_features_is_no_start():
    with pytest.raises(ConfigError, match="other features"):
        a_hyper().start_from(VxmDense(2, features=[[2, 3], [3, 2, 2]]))


@pytest.mark.parametrize("hyperparameters", [1, 2])
def test_every_item_has_its_own_hyperparameters(pair, hyperparameters):
    network = a_hyper(hyperparameters=hyperparameters)
    values = torch.rand(3, hyperparameters, generator=torch.Generator().manual_seed(0))
    together = network(*pair, values)
    for i in range(3):
        alone = network(*(image[i : i + 1] for image in pair), values[i])
        torch.testing.assert_close(together.displacement[i : i + 1], alone.displacement, rtol=1e-4, atol=1e-4)


def test_one_set_of_hyperparameters_serves_the_batch(pair):
    network = a_hyper()
    shared, repeated = network(*pair, [0.3]).flow, network(*pair, torch.full((3, 1), 0.3)).flow
    torch.testing.assert_close(shared, repeated, rtol=1e-4, atol=1e-5)


def test_calls_without_hyperparameters_use_those_that_are_chosen(pair):
    network = a_hyper(default=0.25)
    assert torch.equal(network(*pair).flow, network(*pair, [0.25]).flow)
    network.choose(0.75)
    expected = network(*pair, 0.75).displacement
    assert torch.equal(network(*pair).displacement, expected)
    torch.testing.assert_close(network.fields(*pair).displacement, expected)
    torch.testing.assert_close(network.fields(*pair, hyperparameters=0.75).displacement, expected)


def test_hyperparameters_of_a_call_do_not_stay(pair):
    network = a_hyper()
    before = network(*pair).flow
    network(*pair, [0.9])
    with pytest.raises(ConfigError):
        network(*pair, [0.9, 0.1])
    assert torch.equal(network(*pair).flow, before)


def test_the_specialised_network_gives_the_same_fields(pair):
    network = a_hyper(svf_resolution=2, use_probs=True, bidir=True)
    special = network.specialise(0.4)
    assert type(special) is VxmDense
    assert count(special) < count(network)
    for name in ("displacement", "inverse", "logvar"):
        expected = getattr(network(*pair, 0.4), name)
        torch.testing.assert_close(getattr(special(*pair), name), expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_all_weights_and_the_hyperparameters(pair):
    network = a_hyper().train()
    values = torch.full((3, 1), 0.5, requires_grad=True)
    network(*pair, values).moved.square().mean().backward()
    assert values.grad.abs().sum() > 0
    silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not silent
    assert all(p.grad.abs().sum() > 0 for name, p in network.named_parameters() if "generated" in name)


def test_the_flow_convolution_does_not_depend_on_hyperparameters():
    network = a_hyper()
    assert network.flow.weight.shape == (2, 4, 3, 3)
    assert not any(name.startswith("flow") for name in network.unet.names)


def test_first_weights_hardly_move_anything():
    torch.manual_seed(0)
    output = HyperVxmDense(2, features=TINY)(*a_pair((16, 16)))
    assert output.displacement.abs().max() < 1e-3


def test_bfloat16_differs_by_its_rounding_only(pair):
    exact = a_hyper()(*pair, 0.2).flow
    rough = set_unet_precision(a_hyper(), "bfloat16")(*pair, 0.2)
    assert rough.features.dtype == torch.bfloat16 and rough.flow.dtype == torch.float32
    assert 0 < (rough.flow - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("values", [[0.1, 0.2], torch.rand(2, 1), torch.rand(3, 2), [float("nan")]])
def test_hyperparameters_that_do_not_fit_are_refused(pair, values):
    with pytest.raises(ConfigError, match="hyper"):
        a_hyper()(*pair, values)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hyper_layers": 0}, "layers is 0"),
        ({"hyper_units": 0}, "make no hypernetwork"),
        ({"hyperparameters": 0}, "make no hypernetwork"),
        ({"default": [0.1, 0.2]}, "takes 1 hyperparameters"),
    ],
)
def test_impossible_networks_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        a_hyper(**options)
