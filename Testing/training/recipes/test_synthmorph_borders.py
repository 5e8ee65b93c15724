"""Trainings that find borders in images of random shapes."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import SHAPE, SMALL, a_batch, a_task, losses, train
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.synth.border_tensor import TYPICAL, border_tensor
from VoxelMorphLib.training.recipes import make_config

RECIPE = "synthmorph-borders"


def test_an_image_is_made_with_the_borders_of_its_map():
    task = a_task(RECIPE)
    images, borders = task.synthesise(a_batch(task, size=2))
    assert images.shape == (2, 1, *SHAPE) and borders.shape == (2, 6, *SHAPE)
    assert images.min() >= 0 and images.max() <= 1 and borders.norm(dim=1).max() > 0.3
    assert not torch.equal(images[0], images[1])


def test_a_sample_does_not_depend_on_its_batch():
    task = a_task(RECIPE)
    both, alone = (task.synthesise(a_batch(task, size=n, first=f)) for n, f in ((2, 0), (1, 1)))
    for together, single in zip(both, alone):
        torch.testing.assert_close(together[1:], single)


def test_a_perfect_network_has_no_loss():
    task = a_task(RECIPE)
    batch = a_batch(task)
    task.network.forward = lambda image: task.synthesise(batch)[1]
    assert losses(task, batch)["borders"] == 0
    assert set(task.previews()) == {"image", "borders"}


def test_the_loss_falls_on_one_image():
    task = a_task(RECIPE)
    batch = a_batch(task)
    of_nothing = float(task.synthesise(batch)[1].square().sum(1).mean() / TYPICAL)
    assert train(task, batch, steps=25, lr=1e-2)[-1] < 0.85 * of_nothing


def test_maps_have_several_sizes_of_shapes():
    task = a_task(RECIPE)
    maps = [task._map(torch.Generator().manual_seed(seed), torch.device("cpu")) for seed in range(8)]
    shares = [float((border_tensor(each, each.unique().tolist()).norm(dim=1) > 0.2).float().mean()) for each in maps]
    assert max(shares) > 2 * min(shares)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"label_list": "/a"}, r"makes its label maps itself\. Leave label_list and merge_labels empty"),
        ({"image_list": "/a"}, r"makes its images itself\. Leave image_list empty"),
        ({"shape": ()}, r"Random shapes have no size of their own\. Give shape"),
        ({"shape": (16, 3, 16)}, "a network of 2 levels needs at least 4 voxels along each axis"),
        ({"decoder": (8, 4)}, "encoder names 2 levels and decoder 2"),
        ({"shape_labels": 1}, "shape_labels is 1; choose a number from 2"),
    ],
)
def test_impossible_trainings_are_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_config(RECIPE, {**SMALL, **values}).check_sources()
