"""ConditionalTemplateCreation: templates from attributes."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_pair, filled
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.conditional_template import ConditionalTemplateCreation, TemplateGenerator

SHAPE = (16, 12)
ATTRIBUTES = torch.tensor([[0.2, -1.0], [1.5, 0.3]])


def a_network(shape: tuple[int, ...] = SHAPE, **options) -> ConditionalTemplateCreation:
    small = {"attributes": 2, "generator_features": 3, "features": TINY}
    return filled(ConditionalTemplateCreation(shape, **{**small, **options}))


def images(batch: int = 2, channels: int = 1, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return a_pair(shape, batch, (channels,))[0]


def test_every_subject_has_its_own_template():
    network = a_network()
    output = network(ATTRIBUTES, images())
    assert output.template.shape == (2, 1, *SHAPE)
    assert (output.template[0] - output.template[1]).abs().max() > 0.01
    assert torch.equal(output.template, network.template(ATTRIBUTES))
    torch.testing.assert_close(network.template(ATTRIBUTES[:1]), output.template[:1])


def test_the_generated_image_is_added_to_the_base():
    network = a_network()
    generated = network.template(ATTRIBUTES)
    network.start_from(images()[0])
    torch.testing.assert_close(network.template(ATTRIBUTES), generated + images()[0])
    with pytest.raises(GeometryError, match="cannot start from"):
        network.start_from(torch.zeros(2, *SHAPE))


def test_a_new_network_shows_the_base():
    torch.manual_seed(0)
    network = ConditionalTemplateCreation(SHAPE, attributes=2, features=TINY)
    assert network.template(ATTRIBUTES).abs().max() < 1e-4


def test_gradients_reach_generator_and_network():
    network = a_network(generator_levels=3).train()
    output = network(ATTRIBUTES, images())
    loss = (output.registration.moved - images()).square().mean() + output.mean_displacement.square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_the_mean_displacement_can_be_left_out():
    output = a_network(use_mean_stream=False)(ATTRIBUTES, images())
    assert output.mean_displacement is None and output.registration.inverse is None


def test_template_and_images_may_have_different_channels():
    network = a_network(image_features=2)
    assert network(ATTRIBUTES, images(channels=2)).template.shape[1] == 2
    network = a_network(image_features=2, template_features=1)
    assert network(ATTRIBUTES, images(channels=2)).template.shape[1] == 1


@pytest.mark.parametrize("shape", [(17,), (13, 10), (8, 8, 12)])
def test_any_number_of_axes(shape):
    assert a_network(shape)(ATTRIBUTES, images(shape=shape)).registration.moved.shape == (2, 1, *shape)


@pytest.mark.parametrize(("levels", "coarse"), [(0, (16, 12)), (1, (16, 12)), (2, (8, 6)), (3, (4, 3))])
def test_levels_double_the_extents(levels, coarse):
    generator = TemplateGenerator(2, SHAPE, levels=levels, features=4)
    assert generator.dense.weight.shape == (4 * coarse[0] * coarse[1], 2)
    assert generator(ATTRIBUTES).shape == (2, 1, *SHAPE)


def test_the_dense_layer_of_a_brain_has_55_million_weights():
    with torch.device("meta"):
        generator = TemplateGenerator(1, (160, 192, 224), features=4)
    assert sum(p.numel() for p in generator.dense.parameters()) == 55_050_240


def test_the_convolutions_are_linear():
    """Beyond the dense layer and its ELU, templates of features add up."""
    generator = filled(TemplateGenerator(2, SHAPE, features=4, kernel=5, extra_convolutions=2))
    generator.dense.bias.data.fill_(50.0)  # on the linear side of the ELU
    zero, one, two = (generator(ATTRIBUTES[:1] * factor) for factor in (0, 1, 2))
    torch.testing.assert_close(two - one, one - zero, rtol=1e-3, atol=1e-3)


def test_a_wrong_number_of_attributes_is_refused():
    with pytest.raises(GeometryError, match=r"needs attributes \(B, 2\), got \(1, 3\)"):
        a_network().template(torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"generator_levels": 4}, r"4 levels cannot make the shape \(16, 12\)"),
        ({"attributes": 0}, "attributes is 0"),
        ({"generator_features": 0}, "features is 0"),
        ({"generator_kernel": 0}, "kernel is 0"),
        ({"extra_convolutions": -1}, "extra_convolutions is -1"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        a_network(**options)
