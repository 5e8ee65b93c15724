"""The semi-supervised recipe: labels, their resolution, subsets and directions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.made_up_training import LABELS, a_batch, a_task, losses, some_info
from support.tiny_networks import filled
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.training.tasks.registration import one_hot


def test_one_hot_takes_every_second_voxel():
    labels = torch.tensor([3, 0, 7, 7, 3], dtype=torch.int16)[None, None]
    assert one_hot(labels, (3, 7)).tolist() == [[[1, 0, 0, 0, 1], [0, 0, 1, 1, 0]]]
    assert one_hot(labels, (3, 7), step=2).tolist() == [[[1, 0, 1], [0, 1, 0]]]


def test_the_overlap_at_full_resolution_follows_the_written_formula():
    task = a_task("semisupervised", label_resolution=1, dice_weight=0.5, bidir=False)
    filled(task.network, size=0.7)
    batch = a_batch(task, size=2)
    displacement = task.network.fields(batch.moving, batch.fixed).displacement
    overlaps = []
    for value in LABELS:
        fixed = (batch.fixed_labels == value).float()
        moved = warp((batch.moving_labels == value).float(), displacement)
        overlaps += [2 * (f * m).sum() / (f + m).sum() for f, m in zip(fixed, moved)]
    expected = -0.5 * torch.stack(overlaps).mean()
    assert losses(task, batch)["labels"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_labels_at_half_resolution_count_about_the_same():
    full, half = (a_task("semisupervised", label_resolution=n) for n in (1, 2))
    batch = a_batch(full)
    expected = losses(full, batch)["labels"].item()
    assert losses(half, batch)["labels"].item() == pytest.approx(expected, abs=0.002)


def test_labels_are_dropped_without_weight():
    task = a_task("semisupervised", dice_weight=0.0)
    assert list(losses(task, a_batch(task))) == ["image", "image_back", "penalty"]


def test_both_directions_of_labels_count_half_each():
    both, one = a_task("semisupervised"), a_task("semisupervised", bidir=False)
    batch = a_batch(both)
    terms = losses(both, batch)
    assert terms["labels"].item() == pytest.approx(losses(one, batch)["labels"].item() / 2, rel=1e-4)
    assert terms["labels_back"].item() < 0
    assert set(losses(one, batch)) == {"image", "labels", "penalty"}


def test_the_fixed_labels_moved_by_the_inverse_are_compared_with_the_moving_ones():
    task = a_task("semisupervised", label_resolution=1, dice_weight=2.0)
    filled(task.network, size=0.7)
    batch = a_batch(task)
    inverse = task.network.fields(batch.moving, batch.fixed).inverse
    fixed, moving = (one_hot(labels, LABELS) for labels in (batch.fixed_labels, batch.moving_labels))
    moved = warp(fixed, inverse)
    overlaps = 2 * (moving * moved).sum((2, 3, 4)) / (moving + moved).sum((2, 3, 4))
    assert losses(task, batch)["labels_back"].item() == pytest.approx(-overlaps.mean().item(), rel=1e-5)


@pytest.mark.parametrize("values", [{}, {"image_loss": "ncc"}, {"label_resolution": 1}])
def test_the_loss_of_swapped_images_is_the_same(values):
    task = a_task("semisupervised", **values)
    filled(task.network, size=0.7)
    batch = a_batch(task, size=2)
    swapped = replace(
        batch,
        fixed=batch.moving,
        moving=batch.fixed,
        fixed_labels=batch.moving_labels,
        moving_labels=batch.fixed_labels,
    )
    with torch.no_grad():
        task.network.flow.weight.mul_(50)
    given, turned = losses(task, batch), losses(task, swapped)
    for name, other in (("image", "image_back"), ("labels", "labels_back"), ("penalty", "penalty")):
        assert given[name].item() == pytest.approx(turned[other].item(), rel=1e-4)
        assert given[other].item() == pytest.approx(turned[name].item(), rel=1e-4)
    for directions in ({"bidir": False}, {"symmetric": False}):
        preferring = a_task("semisupervised", **directions, **values)
        preferring.network.load_state_dict(task.network.state_dict())
        there, back = (sum(losses(preferring, pair).values()).item() for pair in (batch, swapped))
        assert there != pytest.approx(back, rel=1e-4)


def test_the_gradient_of_each_direction_reaches_the_velocity():
    task = a_task("semisupervised", smoothness=0.0)
    filled(task.network, size=0.7)
    batch = a_batch(task)
    for name in ("labels", "labels_back"):
        task.network.zero_grad()
        losses(task, batch)[name].backward()
        assert task.network.flow.weight.grad.abs().max() > 0


def test_a_subset_of_labels_is_drawn_for_each_step():
    task = a_task("semisupervised", labels_per_step=1)
    batch = a_batch(task)
    single = {round(losses(task, batch, seed)["labels"].item(), 7) for seed in range(8)}
    assert len(single) == 2  # one or the other
    together = losses(a_task("semisupervised"), batch)["labels"].item()
    assert sum(single) / 2 == pytest.approx(together, rel=1e-4)


def test_a_dense_network_is_published():
    task = a_task("semisupervised")
    filled(task.network)
    network, architecture, _ = task.published()
    batch = a_batch(task)
    assert architecture == type(network).__name__ == "VxmDense"
    expected = task.fields(task.network, batch.moving, batch.fixed).displacement
    assert torch.equal(network.eval().fields(batch.moving, batch.fixed).displacement, expected)


def test_images_without_labels_are_refused():
    with pytest.raises(ConfigError, match="semisupervised learns from label maps, and the data have no label"):
        a_task("semisupervised", some_info(labels=()))


def test_an_atlas_without_labels_is_refused():
    with pytest.raises(ConfigError, match="those of the atlas, which has none"):
        a_task("semisupervised", some_info(atlas_labels=None), atlas="atlas.nii.gz")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_resolution": 1.5}, "label_resolution is 1.5; give a whole number"),
        ({"label_resolution": 0}, "label_resolution is 0; choose a number from 1"),
        ({"labels_per_step": -1}, "labels_per_step is -1"),
        ({"dice_weight": -1}, "dice_weight is -1"),
        ({"int_steps": 0}, "has no inverse to bring the fixed labels back"),
    ],
)
def test_impossible_options_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        a_task("semisupervised", **values)
