"""The recipe for one pair: its formula, its start from a network, and its limits."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import SHAPE, a_batch, a_task, losses, train
from support.tiny_networks import a_dense
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model


def a_weights_file(folder, **options):
    network = a_dense(**options)
    network.flow.weight.data.mul_(4)
    arguments = {"ndims": 3, "features": [[4, 8], [8, 8, 4]], **options}
    entry = ModelEntry(
        "start", "Start", "A test.", "VxmDense", arguments, file="start.safetensors", format="safetensors"
    )
    write_model(network, entry, folder / "start.safetensors")
    return network, str(folder / "start.safetensors")


def test_losses_follow_the_written_formula():
    task = a_task("instance", smoothness=0.2, image_weight=3.0, image_sigma=0.5)
    torch.nn.init.normal_(task.network.parameter, std=1e-3)
    batch = a_batch(task)
    terms = losses(task, batch)
    field = task.network.fields(batch.moving, batch.fixed)
    image = 3.0 * (warp(batch.moving, field.displacement) - batch.fixed).square().mean() / 0.5**2
    penalty = 0.2 * 2 * sum(field.velocity.diff(dim=axis).square().mean() for axis in (2, 3, 4)) / 3
    assert terms["image"].item() == pytest.approx(image.item(), rel=1e-5)
    assert terms["penalty"].item() == pytest.approx(penalty.item(), rel=1e-5)


def test_fitting_a_pair_brings_it_together():
    task = a_task("instance", smoothness=0.001)
    history = train(task, a_batch(task), steps=40, lr=2e-4)
    assert history[-1] < 0.5 * history[0]


def test_the_velocity_of_a_network_is_refined(tmp_path):
    network, path = a_weights_file(tmp_path)
    task = a_task("instance", init_weights=path)
    batch = a_batch(task)
    losses(task, batch)
    expected = network.fields(batch.moving, batch.fixed)
    given = task.network.fields(batch.moving, batch.fixed)
    assert expected.displacement.abs().max() > 0.05
    assert torch.allclose(given.displacement, expected.displacement, atol=1e-5)


def test_a_training_that_goes_on_keeps_its_velocity(tmp_path):
    task = a_task("instance", init_weights=a_weights_file(tmp_path)[1])
    torch.nn.init.constant_(task.network.parameter, 1e-3)
    losses(task, a_batch(task))
    assert torch.equal(task.network.parameter, torch.full_like(task.network.parameter, 1e-3))


def test_networks_without_velocity_cannot_be_refined(tmp_path):
    task = a_task("instance", init_weights=a_weights_file(tmp_path, int_steps=0)[1])
    with pytest.raises(ConfigError, match="gives no velocity to refine"):
        losses(task, a_batch(task))


def test_extents_must_fit_the_network_to_refine(tmp_path):
    path = a_weights_file(tmp_path)[1]
    task = a_task("instance", init_weights=path)
    task.info = task.info.__class__((*SHAPE[:2], 17))
    with pytest.raises(ConfigError, match="extents that are multiples of 4"):
        losses(task, a_batch(task))


def test_several_pairs_are_refused():
    task = a_task("instance")
    losses(task, a_batch(task))
    other = a_batch(task)
    with pytest.raises(ConfigError, match="instance fits one pair, and the data have several"):
        losses(task, other.__class__((1,), ("other",), other.fixed, other.moving))


def test_terms_without_weight_are_dropped():
    task = a_task("instance", smoothness=0.0)
    assert list(losses(task, a_batch(task))) == ["image"]


def test_impossible_multipliers_are_refused():
    with pytest.raises(ConfigError, match="multiplier is 0"):
        a_task("instance", multiplier=0)
