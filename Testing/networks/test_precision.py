"""bfloat16 convolutions: close to float32, and float32 again behind them."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_cvpr, a_dense, a_miccai, a_pair
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.networks.convolution import convolve, convolve_and_activate
from VoxelMorphLib.networks.precision import set_precision


@pytest.mark.parametrize("build", [a_dense, a_cvpr, a_miccai], ids=["dense", "cvpr", "miccai"])
def test_bfloat16_differs_by_its_rounding_only(build):
    pair = a_pair((16, 16, 32))
    with torch.inference_mode():
        exact = build(3).fields(*pair).displacement
        rough = set_precision(build(3), "bfloat16").fields(*pair).displacement
    assert rough.dtype == torch.float32
    error = (rough - exact).abs().max() / exact.abs().max()
    assert 0 < error < 0.05


def test_what_follows_the_features_is_float32():
    output = set_precision(a_dense(2, use_probs=True), "bfloat16")(*a_pair((16, 16)))
    assert output.features.dtype == torch.bfloat16
    rest = [output.flow, output.logvar, output.svf, output.velocity, output.integrated, output.displacement]
    assert {tensor.dtype for tensor in [*rest, output.moved]} == {torch.float32}


def test_the_network_itself_is_returned_and_can_go_back():
    network = a_dense(2)
    assert set_precision(network, "bfloat16") is network
    assert set_precision(network, "float32").unet.dtype == torch.float32


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="precision is 'float16'; choose one of float32, bfloat16"):
        set_precision(a_dense(2), "float16")


def test_autocast_ends_where_the_features_end():
    network, pair = a_dense(2), a_pair((16, 16))
    exact = network(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(*pair)
        fields = network.fields(*pair)
    assert {t.dtype for t in (output.flow, output.integrated, output.moved, fields.displacement)} == {torch.float32}
    error = (output.displacement - exact.displacement).abs().max() / exact.displacement.abs().max()
    assert error < 0.05


@pytest.mark.parametrize("gradients", [True, False])
def test_autocast_reaches_the_convolutions_of_the_processor(gradients):
    image, weight = torch.randn(1, 2, 8, 8, 8), torch.randn(4, 2, 3, 3, 3, requires_grad=gradients)
    with torch.set_grad_enabled(gradients), torch.autocast("cpu", torch.bfloat16):
        assert convolve(image, weight, None).dtype == torch.bfloat16
        assert convolve_and_activate(image, weight, torch.zeros(4)).dtype == torch.bfloat16
