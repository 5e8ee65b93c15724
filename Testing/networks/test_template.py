"""TemplateCreation: a template that is learnt, and the running mean that keeps it central."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, a_pair, filled, with_constant_flow
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.networks.conditional_template import ConditionalTemplateCreation
from VoxelMorphLib.networks.template import MeanStream, TemplateCreation

SHAPE = (16, 12)


def a_template(shape: tuple[int, ...] = SHAPE, **options) -> TemplateCreation:
    return filled(TemplateCreation(shape, **{"features": TINY, **options}))


def images(batch: int = 1, channels: int = 1) -> torch.Tensor:
    return a_pair(SHAPE, batch, (channels,))[0]


def test_a_new_template_is_blank():
    torch.manual_seed(0)
    template = TemplateCreation(SHAPE).template
    assert 0 < template.std() < 1e-6


def test_the_template_is_the_moving_image():
    network = a_template(template_features=2, image_features=3)
    output = network(images(batch=2, channels=3))
    assert output.template.shape == (2, 2, *SHAPE)
    assert torch.equal(output.template[0], network.template)
    assert output.registration.moved.shape == (2, 2, *SHAPE)
    assert output.registration.moved_fixed.shape == (2, 3, *SHAPE)


def test_the_template_can_start_from_an_image():
    network = a_template()
    network.start_from(images()[0])
    assert torch.equal(network.template, images()[0])
    assert network.template.requires_grad
    with pytest.raises(GeometryError, match=r"of \(1, 16, 12\) cannot start from \(1, 12, 16\)"):
        network.start_from(torch.zeros(1, 12, 16))


def test_images_of_another_shape_are_refused_with_the_shape_that_fits():
    other = torch.rand(1, 1, 32, 12)
    for network in (a_template(), ConditionalTemplateCreation(SHAPE, features=TINY)):
        with pytest.raises(GeometryError, match=r"made for images of 16 x 12 voxels, got 32 x 12\. Crop, pad"):
            network.fields(other, other)


def test_the_mean_runs_over_the_displacements_to_the_template():
    network = with_constant_flow(a_template(mean_cap=4, int_resolution=1), 2.0).train()
    output = network(images(batch=2))
    torch.testing.assert_close(output.mean_displacement, torch.full((2, 2, *SHAPE), -2.0) * 2 / 4)
    with_constant_flow(network, -1.0)
    for _ in range(2):
        output = network(images(batch=2))
    expected = 0.5 * (0.5 * -2.0 + 0.5 * 1.0) + 0.5 * 1.0
    torch.testing.assert_close(output.mean_displacement, torch.full((2, 2, *SHAPE), expected))
    assert network.mean_stream.count.item() == 6


def test_inference_leaves_the_mean_alone():
    network = a_template(mean_cap=2).train()
    network(images(batch=2))
    before = network.mean_stream.mean.clone()
    network.eval()(images(batch=1))
    assert torch.equal(network.mean_stream.mean, before)


def test_gradients_reach_the_template_and_the_network():
    network = a_template().train()
    output = network(images())
    loss = (output.registration.moved - images()).square().mean() + output.mean_displacement.square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.slow
def test_training_sharpens_the_template():
    """With nothing to deform, the template becomes the image."""
    network, wanted = with_constant_flow(a_template(), 0.0), images()
    optimiser = torch.optim.Adam([network.template], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        (network(wanted).registration.moved - wanted).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(network.template, wanted[0], rtol=0, atol=0.02)


@pytest.mark.parametrize("shape", [(17,), (13, 10), (9, 8, 7)])
def test_any_shape_and_number_of_axes(shape):
    network = a_template(shape)
    (fixed,) = a_pair(shape, channels=(1,))
    output = network(fixed)
    assert output.mean_displacement.shape == (1, len(shape), *shape)
    moving = fixed.flip(-1)
    pair = network.fields(moving, fixed)
    expected = compose([network(moving).registration.inverse, output.registration.displacement])
    torch.testing.assert_close(pair.displacement, expected)


def items(value: float, batch: int = 2) -> torch.Tensor:
    return torch.full((batch, 1, 3), value)


def test_the_mean_of_all_items_until_the_cap_is_reached():
    stream = MeanStream((1, 3), cap=4)
    torch.testing.assert_close(stream(items(1.0)), items(1.0) * 2 / 4)
    torch.testing.assert_close(stream(items(3.0)), items(2.0))
    torch.testing.assert_close(stream(items(8.0)), items(0.5 * 2 + 0.5 * 8))
    assert stream.count.item() == 6


def test_inference_returns_the_stored_mean_and_changes_nothing():
    stream = MeanStream((1, 3), cap=2)
    stream(items(5.0))
    stream.eval()
    torch.testing.assert_close(stream(items(100.0, batch=1)), items(5.0, batch=1))
    assert stream.count.item() == 2


def test_gradients_reach_the_newest_items_only():
    stream = MeanStream((1, 3), cap=4)
    first, second = items(1.0).requires_grad_(), items(2.0).requires_grad_()
    stream(first)
    stream(second).sum().backward()
    assert first.grad is None
    torch.testing.assert_close(second.grad, items(0.5))


def test_the_state_survives_saving():
    stream, other = MeanStream((1, 3), cap=4), MeanStream((1, 3), cap=4)
    stream(items(3.0))
    other.load_state_dict(stream.state_dict())
    assert torch.equal(other.eval()(items(0.0)), stream.eval()(items(0.0)))
