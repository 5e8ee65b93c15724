"""The encoder-decoder: shapes, initial weights, precision, and the fused steps of inference against the plain ones."""

from __future__ import annotations

import math

import pytest
import torch
from support.tiny_networks import TINY, a_cvpr, a_dense, a_miccai, a_pair, filled
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks import convolution
from VoxelMorphLib.networks.convolution import convolve, convolve_and_activate
from VoxelMorphLib.networks.unet import DEFAULT_FEATURES, Unet, feature_lists, set_unet_precision

every_dimension = pytest.mark.parametrize("ndims", [1, 2, 3])

OPTIONS = {
    "default": {},
    "half": {"upsample_skips": 1},
    "quarter": {"upsample_skips": 2},
    "two per level": {"features": 4, "levels": 3, "multiplier": 1.5, "conv_per_level": 2},
    "residual": {"residual": True},
    "no final": {"features": ((4, 8), (8, 3)), "final_activation": "softmax"},
    "softmax": {"features": ((4, 8), (8, 8, 3)), "final_activation": "softmax"},
    "pooled by three": {"pooling": (3, 2)},
}


def a_unet(ndims: int, **options) -> Unet:
    return filled(Unet(ndims, 2, **{"features": TINY, **options}))


def an_image(unet: Unet, batch: int = 1, seed: int = 0) -> torch.Tensor:
    shape = [unet.multiple * n for n in (3, 1, 2)[: unet.ndims]]
    return torch.randn(batch, 2, *shape, generator=torch.Generator().manual_seed(seed))


@every_dimension
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_inference_gives_what_the_plain_steps_give(ndims, options):
    unet = a_unet(ndims, **options)
    image = an_image(unet, batch=2)
    plain = unet(image)
    with torch.no_grad():
        fused = unet(image)
    assert plain.std() > 1e-3
    assert torch.allclose(fused, plain.detach(), atol=1e-5, rtol=1e-4)


@every_dimension
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_features_have_the_announced_channels_and_resolution(ndims, options):
    unet = a_unet(ndims, **options)
    image = an_image(unet)
    expected = (1, unet.out_channels, *(n // unet.reduction for n in image.shape[2:]))
    assert unet(image).shape == expected


@every_dimension
def test_slabs_of_any_size_give_the_same(ndims, monkeypatch):
    unet = a_unet(ndims, upsample_skips=1)
    image = an_image(unet)
    with torch.no_grad():
        whole = unet(image)
        for size in (1, 700, 5000):
            monkeypatch.setattr("VoxelMorphLib.networks.conv_block._SLAB_BYTES", size)
            assert torch.allclose(unet(image), whole, atol=1e-6)


def test_softmax_covers_the_channels():
    unet = a_unet(2, features=((4, 8), (8, 8, 3)), final_activation="softmax")
    assert torch.allclose(unet(an_image(unet)).sum(dim=1), torch.ones(1), atol=1e-5)


def test_batch_items_do_not_influence_each_other():
    unet = a_unet(3)
    image = an_image(unet, batch=3)
    with torch.no_grad():
        assert torch.allclose(unet(image)[1:2], unet(image[1:2]), atol=1e-5)


def test_the_input_stays_as_it_is():
    unet = a_unet(3)
    image = an_image(unet)
    before = image.clone()
    with torch.no_grad():
        unet(image)
    assert torch.equal(image, before)


def test_the_finest_features_of_a_half_resolution_network_never_exist():
    """They are the largest tensor of a full-size run and serve no skip connection."""
    unet = filled(Unet(3, 2, upsample_skips=1))
    image = torch.rand(1, 2, 64, 64, 64)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True, record_shapes=False) as run:
        unet(image)
    largest = max(event.cpu_memory_usage for event in run.events())
    assert largest < 16 * 64**3 * image.element_size()


def test_weights_start_as_he_normal_and_biases_as_zero():
    torch.manual_seed(0)
    block = Unet(3, 2).encoder[1][0].convolution
    std = math.sqrt(2 / (16 * 27))
    assert block.weight.std().item() == pytest.approx(std, rel=0.05)
    assert block.weight.abs().max().item() <= 2 * std / 0.8796 + 1e-6
    assert not block.bias.any()


def test_default_features_are_those_of_the_paper():
    assert feature_lists(None, None, 1.0, 1) == DEFAULT_FEATURES == ((16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16))


def test_a_number_of_features_grows_by_the_multiplier():
    assert feature_lists(4, 3, 1.5, 2) == ((4, 4, 6, 6), (9, 9, 6, 6, 4, 4))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ndims": 4}, "1, 2 or 3 axes, not on 4"),
        ({"features": 8}, "levels=None do not fit"),
        ({"features": ((4, 8), (8, 8)), "levels": 3}, "levels=3 do not fit"),
        ({"features": ((4, 0), (8, 8))}, "not two lists of positive numbers"),
        ({"features": ((), ())}, "not two lists of positive numbers"),
        ({"features": ((4,), (8,), (8,))}, "not two lists of positive numbers"),
        ({"features": (("a",), (8,))}, "not two lists of positive numbers"),
        ({"features": ((4, 8, 8), (8, 8))}, "3 encoder and 2 decoder convolutions do not fit"),
        ({"features": ((4, 8, 8), (8, 8, 8)), "conv_per_level": 2}, "do not fit 2 per level"),
        ({"features": TINY, "upsample_skips": 3}, "allows 0 to 2"),
        ({"features": TINY, "pooling": (2,)}, "give one positive factor, or 2"),
        ({"features": TINY, "pooling": 0}, "give one positive factor"),
        ({"features": TINY, "final_activation": "swish"}, "choose one of linear, softmax"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        Unet(**options)


@pytest.mark.parametrize("shape", [(1, 2, 16, 16, 18), (1, 2, 16, 16)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(GeometryError, match="3 axes of a multiple of 4 voxels, got"):
        a_unet(3)(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("available", [True, False])
def test_convolution_and_activation_give_the_same_with_and_without_the_fused_operator(dtype, available, monkeypatch):
    if not available:
        monkeypatch.setattr(convolution, "_has_fused_activation", lambda image: False)
    generator = torch.Generator().manual_seed(0)
    image, weight = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((1, 4, 6, 8, 8), (5, 4, 3, 3, 3)))
    bias = torch.randn(5, generator=generator).to(dtype)
    with torch.no_grad():
        result = convolution.convolve_and_activate(image, weight, bias, stride=2)
    exact = torch.nn.functional.conv3d(image.double(), weight.double(), bias.double(), stride=2, padding=1)
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    assert torch.allclose(
        result.double(), torch.nn.functional.leaky_relu(exact, 0.2), rtol=tolerance, atol=tolerance * 8
    )


@pytest.mark.parametrize("build", [a_dense, a_cvpr, a_miccai], ids=["dense", "cvpr", "miccai"])
def test_bfloat16_differs_by_its_rounding_only(build):
    pair = a_pair((16, 16, 32))
    with torch.inference_mode():
        exact = build(3).fields(*pair).displacement
        rough = set_unet_precision(build(3), "bfloat16").fields(*pair).displacement
    assert rough.dtype == torch.float32
    error = (rough - exact).abs().max() / exact.abs().max()
    assert 0 < error < 0.05


def test_what_follows_the_features_is_float32():
    output = set_unet_precision(a_dense(2, use_probs=True), "bfloat16")(*a_pair((16, 16)))
    assert output.features.dtype == torch.bfloat16
    rest = [output.flow, output.logvar, output.svf, output.velocity, output.integrated, output.displacement]
    assert {tensor.dtype for tensor in [*rest, output.moved]} == {torch.float32}


def test_the_network_itself_is_returned_and_can_go_back():
    network = a_dense(2)
    assert set_unet_precision(network, "bfloat16") is network
    assert set_unet_precision(network, "float32").unet.dtype == torch.float32


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="precision is 'float16'; choose one of float32, bfloat16"):
        set_unet_precision(a_dense(2), "float16")


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
