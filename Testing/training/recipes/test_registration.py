"""Pairwise, atlas and bidirectional recipes: what each option does to the losses."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import a_batch, a_task, losses, some_info
from support.tiny_networks import filled
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.spatial import warp


def a_moved_task(recipe="pairwise", **values):
    """A task whose network deforms, as new ones hardly do."""
    task = a_task(recipe, **values)
    filled(task.network, size=0.7)
    return task


def gradient_l2(field):
    """Written out: mean squared difference of neighbours, averaged over three axes."""
    axes = [field.diff(dim=axis).square().mean() for axis in (2, 3, 4)]
    return sum(axes) / 3


def test_losses_and_their_gradient_follow_the_written_formula():
    task = a_moved_task(smoothness=0.3, image_weight=2.0, image_sigma=0.5)
    batch = a_batch(task, size=2)
    output = task.network(batch.moving, batch.fixed)
    image = 2.0 * (batch.fixed - warp(batch.moving, output.displacement)).square().mean() / 0.5**2
    penalty = 0.3 * 2 * gradient_l2(output.velocity)
    expected = torch.autograd.grad(image + penalty, list(task.network.parameters()))
    terms = losses(task, batch)
    assert terms["image"].item() == pytest.approx(image.item(), rel=1e-5)
    assert terms["penalty"].item() == pytest.approx(penalty.item(), rel=1e-5)
    given = torch.autograd.grad(sum(terms.values()), list(task.network.parameters()))
    for a, b in zip(given, expected):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6 * float(b.abs().max()) + 1e-9)


@pytest.mark.parametrize(("option", "term"), [("smoothness", "penalty"), ("image_weight", "image")])
def test_terms_without_weight_are_dropped(option, term):
    task = a_task("pairwise", **{option: 0.0})
    assert term not in losses(task, a_batch(task))


def test_nothing_to_learn_is_refused():
    task = a_task("pairwise", smoothness=0.0, image_weight=0.0)
    with pytest.raises(ConfigError, match="All of image, penalty have the weight 0"):
        losses(task, a_batch(task))


@pytest.mark.parametrize(
    "values",
    [
        {"image_loss": "ncc"},
        {"image_loss": "mi"},
        {"image_loss": "mind"},
        {"image_loss": "tukey"},
        {"image_sigma": 0.1},
        {"penalty": "l1"},
        {"penalty": "bending"},
        {"penalty_multiplier": 1.0},
        {"svf_resolution": 2.0},
        {"int_resolution": 1.0},
        {"int_steps": 3},
        {"int_steps": 0},
    ],
)
def test_every_option_changes_the_loss(values):
    task, usual = a_moved_task(**values), a_moved_task()
    batch = a_batch(task)
    given, before = losses(task, batch), losses(usual, batch)
    assert all(torch.isfinite(term) for term in given.values())
    assert sum(given.values()) != sum(before.values())


def test_the_window_of_the_correlation_acts():
    narrow, wide = (a_moved_task(image_loss="ncc", ncc_window=n) for n in (3, 9))
    batch = a_batch(wide)
    assert losses(narrow, batch)["image"] != losses(wide, batch)["image"]


def test_the_multiplier_of_the_penalty_is_the_resolution_of_the_integration_unless_given():
    task, plain = a_moved_task(), a_moved_task(penalty_multiplier=1.0)
    batch = a_batch(task)
    assert losses(task, batch)["penalty"].item() == pytest.approx(2 * losses(plain, batch)["penalty"].item())


def test_both_directions_count_half_each():
    task = a_moved_task("bidirectional")
    batch = a_batch(task)
    terms = losses(task, batch)
    output = task.network(batch.moving, batch.fixed)
    assert terms["image"].item() == pytest.approx((output.moved - batch.fixed).square().mean().item() / 2, rel=1e-5)
    back = (warp(batch.fixed, output.inverse) - batch.moving).square().mean().item() / 2
    assert terms["image_back"].item() == pytest.approx(back, rel=1e-5)


def test_no_direction_counts_without_image_weight():
    task = a_task("bidirectional", image_weight=0.0)
    assert list(losses(task, a_batch(task))) == ["penalty"]


def test_several_channels_are_compared():
    task = a_task("pairwise", some_info(channels=2))
    batch = a_batch(task)
    double = batch.__class__(
        batch.numbers, batch.names, batch.fixed.repeat(1, 2, 1, 1, 1), batch.moving.repeat(1, 2, 1, 1, 1)
    )
    assert torch.isfinite(losses(task, double)["image"])


def test_the_atlas_recipe_needs_an_atlas():
    with pytest.raises(ConfigError, match="recipe atlas registers all images with one"):
        a_task("atlas", some_info(atlas=None))


def test_impossible_networks_are_refused():
    with pytest.raises(ConfigError, match="encoder and"):
        a_task("pairwise", encoder=(4, 4, 4), decoder=(4,))
