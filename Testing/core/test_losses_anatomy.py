"""Losses on labels and surfaces, and the table that names all losses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from VoxelMorphLib.core.arrays import signed_distance
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.losses.anatomy import Dice, Surface, dice_loss, soft_dice, surface_distance, surface_loss
from VoxelMorphLib.core.losses.by_name import LOSSES, make_loss


def some_labels(seed=0, labels=3, shape=(6, 7), batch=2, dtype=torch.float32):
    """One-hot memberships (batch, labels, *shape)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(labels, (batch, *shape), generator=generator)
    return torch.nn.functional.one_hot(drawn, labels).movedim(-1, 1).to(dtype)


def a_ball(radius=6, extent=21):
    """Signed distance (1, 1, extent^3) of a ball around the middle voxel."""
    axes = np.meshgrid(*[np.arange(extent) - extent // 2] * 3, indexing="ij")
    mask = sum(axis**2 for axis in axes) <= radius**2
    return torch.from_numpy(signed_distance(mask)).float()[None, None]


def test_equal_labels_have_overlap_one():
    labels = some_labels()
    assert dice_loss(labels, labels).item() == pytest.approx(-1)
    assert dice_loss(labels, some_labels(1)) > -0.6


def test_dice_of_one_hot_labels_is_that_of_the_metric():
    from VoxelMorphLib.core.metrics import dice

    first, second = some_labels(0, batch=1), some_labels(1, batch=1)
    overlap, _ = soft_dice(first, second)
    expected = dice(first[0].argmax(0).numpy(), second[0].argmax(0).numpy(), include_zero=True)
    np.testing.assert_allclose(overlap[0].numpy(), expected, rtol=1e-6)


def test_an_absent_label_counts_as_zero_or_not_at_all():
    labels = torch.cat([some_labels(), torch.zeros(2, 1, 6, 7)], 1)
    assert dice_loss(labels, labels).item() == pytest.approx(-3 / 4)
    assert Dice(drop_absent=True)(labels, labels).item() == pytest.approx(-1)
    nothing = torch.zeros(1, 2, 4, 4, requires_grad=True)
    for drop_absent in (False, True):
        loss = dice_loss(nothing.detach(), nothing, drop_absent=drop_absent)
        assert loss == 0
        assert torch.isfinite(torch.autograd.grad(loss, nothing)[0]).all()


def test_the_dice_gradient_agrees_with_finite_differences():
    fixed, moved = (torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(dice_loss, (fixed, moved))
    assert torch.autograd.gradcheck(lambda f, m: dice_loss(f, m, drop_absent=True), (fixed, moved))


def test_dice_is_float32_under_autocast_and_the_mean_of_its_items():
    fixed, moved = some_labels(0), some_labels(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = dice_loss(fixed.bfloat16(), moved.bfloat16())
    assert loss.dtype == torch.float32
    singles = [dice_loss(fixed[i : i + 1], moved[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(loss, torch.stack(singles).mean())


def test_labels_outside_the_mask_do_not_count():
    fixed, moved = some_labels(0), some_labels(1)
    mask = torch.zeros(1, 1, 6, 7)
    mask[..., :3] = 1
    torch.testing.assert_close(dice_loss(fixed, moved, mask), dice_loss(fixed[..., :3], moved[..., :3]))


def test_label_maps_of_different_shapes_are_refused():
    with pytest.raises(GeometryError, match="one shape"):
        dice_loss(some_labels(), some_labels(shape=(6, 8)))


def test_points_on_the_surface_cost_little_and_far_ones_the_square_of_their_distance():
    distance = a_ball()
    middle = torch.full((1, 1, 3), 10.0)
    on_surface = middle + torch.tensor([6.5, 0, 0])
    assert surface_distance(distance, on_surface).item() == pytest.approx(0, abs=1e-6)
    assert surface_distance(distance, middle + torch.tensor([0, -9, 0])).item() == pytest.approx(3)
    assert surface_distance(distance, middle).item() == pytest.approx(6.0, abs=0.5)
    assert surface_loss(distance, middle + torch.tensor([0, 0, 9]), sigma=2).item() == pytest.approx(9 / 4)


def test_the_surface_loss_pulls_points_onto_the_surface():
    points = torch.tensor([[[18.2, 10.3, 10.1], [10.2, 10.4, 12.3]]], requires_grad=True)
    surface_loss(a_ball(), points).backward()
    assert points.grad[0, 0, 0] > 0
    assert points.grad[0, 1, 2] < 0


def test_every_point_meets_the_surface_of_its_own_label():
    small, large = a_ball(3), a_ball(8)
    point = torch.tensor([18.5, 10.0, 10.0])
    points = torch.stack([torch.cat([point, torch.tensor([float(label)])]) for label in (0, 1)])[None]
    assert surface_distance(torch.cat([small, large], 1), points)[0].tolist() == pytest.approx([5.5, 0], abs=1e-5)


def test_the_surface_loss_is_float32_and_a_batch_mean():
    distances = torch.cat([a_ball(4), a_ball(7)])
    points = torch.rand(2, 9, 3, generator=torch.Generator().manual_seed(0)) * 20
    loss = Surface()(distances.half(), points)
    assert loss.dtype == torch.float32
    singles = [surface_loss(distances[i : i + 1], points[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(loss, torch.stack(singles).mean(), atol=1e-2, rtol=1e-3)


def test_points_without_a_label_are_refused_when_there_are_several():
    with pytest.raises(GeometryError, match="3 axes with 2 labels have 4 columns, got 3"):
        surface_distance(torch.cat([a_ball(), a_ball()], 1), torch.zeros(1, 5, 3))
    with pytest.raises(ConfigError, match="sigma is 0"):
        Surface(sigma=0)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_are_plain_values_that_come_back_from_json(name):
    loss = make_loss(name)
    assert callable(loss)
    assert type(loss).from_dict(json.loads(json.dumps(loss.to_dict()))) == loss
    assert make_loss(name, **loss.to_dict()) == loss
