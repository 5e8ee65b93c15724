"""InstanceDense: where it starts, what it fits, its fields."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_pair
from VoxelMorphLib.core.displacement import integrate_velocity
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.filters import gaussian
from VoxelMorphLib.networks.instance import InstanceDense

SHAPES = {1: (17,), 2: (16, 13), 3: (9, 8, 7)}


@pytest.mark.parametrize("ndims", [1, 2, 3])
def test_it_starts_from_no_displacement(ndims):
    (moving,) = a_pair(SHAPES[ndims], batch=2, channels=(2,))
    output = InstanceDense(SHAPES[ndims])(moving)
    torch.testing.assert_close(output.moved, moving)
    assert not output.displacement.any()
    assert output.displacement.shape == (2, ndims, *SHAPES[ndims])
    assert not output.velocity.any()


def test_the_start_of_the_original_can_be_had():
    torch.manual_seed(0)
    network = InstanceDense((64, 64), std=0.05)
    assert network.velocity.std().item() == pytest.approx(50, rel=0.05)


def test_the_velocity_is_integrated_at_its_own_resolution():
    network = InstanceDense((16, 12), int_resolution=2)
    assert network.parameter.shape == (2, 8, 6)
    network.start_from(torch.full((1, 2, 8, 6), 1.5))
    torch.testing.assert_close(network(torch.rand(1, 1, 16, 12)).displacement, torch.full((1, 2, 16, 12), 3.0))


def test_a_velocity_of_another_resolution_is_resized():
    network = InstanceDense((16, 12), int_resolution=1)
    network.start_from(torch.full((1, 2, 8, 6), 1.5))
    torch.testing.assert_close(network.velocity, torch.full((1, 2, 16, 12), 3.0))


def test_without_steps_the_velocity_is_the_displacement():
    network = InstanceDense((16, 12), int_steps=0, int_resolution=1)
    velocity = gaussian(torch.randn(1, 2, 16, 12, generator=torch.Generator().manual_seed(0)), 2.0)
    network.start_from(velocity)
    fields = network.fields(*a_pair((16, 12)))
    torch.testing.assert_close(fields.displacement, velocity)
    assert fields.velocity is None and fields.inverse is None and not network.diffeomorphic


def test_the_fields_are_those_of_the_velocity():
    network = InstanceDense((16, 12), int_resolution=1, int_steps=5)
    velocity = gaussian(torch.randn(1, 2, 16, 12, generator=torch.Generator().manual_seed(0)), 2.0)
    network.start_from(velocity)
    fields = network.fields(*a_pair((16, 12), batch=2))
    torch.testing.assert_close(fields.displacement, integrate_velocity(velocity, 5).expand(2, -1, -1, -1))
    torch.testing.assert_close(fields.inverse, integrate_velocity(-velocity, 5).expand(2, -1, -1, -1))
    assert network.diffeomorphic


def test_an_optimiser_aligns_a_pair():
    moving = gaussian(torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0)), 2.0)
    moving = (moving - moving.min()) / (moving.max() - moving.min())
    fixed = torch.roll(moving, 1, dims=2)
    network = InstanceDense((24, 24))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(40):
        loss = (network(moving).moved - fixed)[..., 3:-3, 3:-3].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_images_of_another_shape_are_refused():
    network = InstanceDense((16, 12))
    with pytest.raises(GeometryError, match=r"made for images of 16 x 12 voxels, got 16 x 16\. Crop, pad"):
        network(torch.rand(1, 1, 16, 16))
    with pytest.raises(GeometryError, match="made for images of 16 x 12 voxels, got 8 x 12"):
        network.fields(torch.rand(1, 1, 16, 12), torch.rand(1, 1, 8, 12))


def test_a_velocity_of_several_pairs_is_refused():
    with pytest.raises(GeometryError, match=r"give \(1, 2, \*shape\), one pair"):
        InstanceDense((16, 12)).start_from(torch.zeros(2, 2, 8, 6))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shape": ()}, "give 1 to 3 positive extents"),
        ({"shape": (4, 0)}, "give 1 to 3 positive extents"),
        ({"int_steps": 99}, "int_steps is 99"),
        ({"int_resolution": 0}, "int_resolution is 0"),
        ({"multiplier": 0}, "multiplier is 0"),
        ({"std": -1}, "std is -1"),
    ],
)
def test_impossible_options_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        InstanceDense(**{"shape": (8, 8), **options})
