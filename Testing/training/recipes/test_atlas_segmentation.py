"""Segmentation by a probabilistic atlas: where the atlas comes from, the evidence, and what is exported."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.made_up_training import LABELS, SHAPE, a_batch, a_scan, a_task, losses, some_info, train
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.metrics import overlap
from VoxelMorphLib.training.data.space import Prepared
from VoxelMorphLib.training.data.store import Means
from VoxelMorphLib.training.tasks.atlas_segmentation import AtlasWatch, estimate_statistics, make_prob_atlas
from VoxelMorphLib.training.tasks.registration import one_hot
from VoxelMorphLib.training.validation import Validator

RECIPE = "atlas-segmentation"


def the_mean_of(count: int) -> Means:
    means = Means(LABELS)
    for number in range(count):
        means.add(Prepared(*a_scan(number)))
    return means


def an_atlas_file(folder, shape=SHAPE):
    array = np.random.default_rng(0).random((*shape, 4))
    np.savez(folder / "atlas.npz", vol=array)
    return array, str(folder / "atlas.npz")


def test_the_atlas_is_the_mean_of_the_label_maps():
    means = the_mean_of(5)
    task = a_task(RECIPE, some_info(mean=means.image, label_mean=means.labels, atlas=None, atlas_labels=None))
    maps = torch.stack([a_scan(number)[1] for number in range(5)])
    expected = one_hot(maps, (0, *LABELS)).mean(0)
    torch.testing.assert_close(task.images()["atlas"], expected)
    torch.testing.assert_close(means.image, torch.stack([a_scan(number)[0] for number in range(5)]).mean(0))


def test_means_need_no_labels():
    assert Means(()).image is None
    means = Means(())
    means.add(Prepared(a_scan(0)[0]))
    assert means.labels is None


def test_the_atlas_of_one_label_map_is_blurred():
    sharp, blurred = (a_task(RECIPE, atlas_blur=blur).images()["atlas"] for blur in (0.0, 1.5))
    assert set(sharp.unique().tolist()) == {0.0, 1.0}
    assert ((blurred > 0.01) & (blurred < 0.99)).any()
    torch.testing.assert_close(blurred.sum(0), torch.ones(SHAPE))


def test_the_atlas_is_read_from_a_file(tmp_path):
    array, path = an_atlas_file(tmp_path)
    task = a_task(RECIPE, some_info(labels=()), prob_atlas=path)
    expected = np.moveaxis(array / array.sum(-1, keepdims=True), -1, 0)
    np.testing.assert_allclose(task.images()["atlas"].numpy(), expected, rtol=1e-5)
    assert task.published()[2]["labels"] == 4


def test_an_atlas_on_another_grid_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="but the training space"):
        a_task(RECIPE, prob_atlas=an_atlas_file(tmp_path, (8, 8, 8))[1])


def test_no_atlas_is_refused():
    with pytest.raises(ConfigError, match="needs a probabilistic atlas"):
        a_task(RECIPE, some_info(atlas_labels=None))


def test_several_channels_are_refused():
    with pytest.raises(ConfigError, match="knows images of one channel, these have 2"):
        a_task(RECIPE, some_info(channels=2))


def test_the_evidence_follows_the_written_formula():
    task = a_task(RECIPE, smoothness=0.0, image_weight=2.0)
    batch = a_batch(task)
    output = task.network(batch.fixed)
    prior = output.registration.moved.clamp(1e-36, 1)
    mean, variance = (v.view(1, -1, 1, 1, 1) for v in (output.means, output.log_variances.exp()))
    density = torch.exp(-((batch.fixed - mean) ** 2) / (2 * variance)) / torch.sqrt(2 * math.pi * variance)
    expected = -2.0 * (density * prior).sum(1).clamp(min=1e-30).log().mean()
    terms = losses(task, batch)
    assert list(terms) == ["evidence"]
    assert terms["evidence"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_intensities_start_from_the_mean_image():
    task = a_task(RECIPE)
    info = task.info
    means, sigmas = estimate_statistics(info.mean, make_prob_atlas(task.config, info))
    output = task.network(a_batch(task).fixed)
    torch.testing.assert_close(output.means[0], means, rtol=0, atol=1e-3)
    torch.testing.assert_close(output.log_variances[0], 2 * sigmas.log(), rtol=0, atol=1e-3)


def test_estimated_intensities_stay_known():
    """With free ones, a large learning rate and little smoothness, the Gaussians leave the labels."""
    task = a_task(RECIPE)
    means, _sigmas = estimate_statistics(task.info.mean, task.atlas)
    assert task.published()[2]["means"] == pytest.approx(means.tolist())
    train(task, a_batch(task), steps=20, lr=1e-2)
    found = task.network(a_batch(task).fixed).means[0]
    torch.testing.assert_close(found, means, rtol=0, atol=0.02)
    blank = a_task(RECIPE, some_info(mean=torch.zeros(1, *SHAPE)))  # as of an export
    assert "means" not in blank.published()[2]


def test_the_labels_that_are_found_are_validated():
    task = a_task(RECIPE)
    batch = dataclasses.replace(a_batch(task, size=1), moving=a_scan(4)[0][None], moving_labels=a_scan(4)[1][None])
    found = task.labels_of(task.network, batch.fixed)
    assert found.shape == batch.fixed_labels.shape and set(found.unique().tolist()) <= {0, *LABELS}
    data = SimpleNamespace(validation=lambda: iter([batch]))
    fabric = SimpleNamespace(global_rank=0, world_size=1, device=torch.device("cpu"))
    measures = Validator(task, data, fabric)(task.network)[0].measures
    expected = overlap(batch.fixed_labels[0, 0].numpy(), found[0, 0].numpy(), LABELS).by_label
    assert measures.dice == pytest.approx(dict(expected))
    assert measures.mean_back_dice > 0


def test_channels_of_unknown_labels_are_not_taken_for_labels(tmp_path):
    task = a_task(RECIPE, prob_atlas=an_atlas_file(tmp_path)[1])
    assert task.labels_of(task.network, a_batch(task).fixed) is None


def test_labels_that_leave_the_atlas_are_told_once():
    atlas = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).view(2, 4, 1, 1)
    near, far = atlas[None] * 0.8 + 0.1, atlas[None] * 0.2 + 0.4
    watch = AtlasWatch()
    for _ in range(100):
        watch(lambda: near, atlas)
    with pytest.warns(
        UserWarning, match=r"leave its atlas: their overlap with it is 0\.\d+, at first it was 0\.90"
    ) as told:
        for _ in range(200):
            watch(lambda: far, atlas)
    assert len(told) == 1


def test_known_intensities_are_read(tmp_path):
    path = tmp_path / "known.npz"
    np.savez(path, init_mu=[0.1, 0.5, 0.9], init_sigma=[0.1, 0.2, 0.1])
    arguments = a_task(RECIPE, init_stat=str(path)).published()[2]
    assert arguments["means"] == pytest.approx([0.1, 0.5, 0.9])
    assert arguments["sigmas"] == pytest.approx([0.1, 0.2, 0.1])
    with pytest.raises(ConfigError, match="knows 3 means and 3 standard deviations, but the atlas has 4"):
        a_task(RECIPE, init_stat=str(path), prob_atlas=an_atlas_file(tmp_path)[1])


def test_a_trained_network_labels_an_image():
    task = a_task(RECIPE)
    batch = a_batch(task)
    train(task, batch, steps=5)
    found = task.network.eval()(batch.fixed).posterior.argmax(1)
    assert set(found.unique().tolist()) == {0, 1, 2}
    truth = batch.fixed_labels[:, 0]
    for channel, value in enumerate(LABELS, start=1):
        overlap = (
            2 * ((found == channel) & (truth == value)).sum() / ((found == channel).sum() + (truth == value).sum())
        )
        assert overlap > 0.7


def test_options_of_the_network_are_passed_on():
    arguments = a_task(RECIPE, warp_atlas=False, stat_post_warp=False).published()[2]
    assert arguments["warp_atlas"] is False
    assert arguments["stats_after_warp"] is False


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError, match="stat_post_warp needs the deformed atlas"):
        a_task(RECIPE, warp_atlas=False)
    with pytest.raises(ConfigError, match="atlas_blur is -1"):
        a_task(RECIPE, atlas_blur=-1)
