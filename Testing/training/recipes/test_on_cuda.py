"""Every recipe learns on a graphics card what it learns on the processor."""

from __future__ import annotations

import math

import pytest
import torch
from support.cuda_device import needs_cuda
from support.made_up_training import a_batch, a_task, losses
from support.training_files import write_cases
from VoxelMorphLib.training.recipes import RECIPES, make_config
from VoxelMorphLib.training.trainer import train

DRAW = ("hypermorph", "probabilistic")


@needs_cuda
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in DRAW and "synthmorph" not in name])
def test_the_losses_are_those_of_the_processor(recipe):
    """Others draw from the generator of the device, so theirs differ."""
    task = a_task(recipe)
    batch = a_batch(task, size=1)
    with torch.no_grad():
        here = losses(task, batch)
        task.network.cuda()
        there = task.losses(task.network, batch.to("cuda"), torch.Generator("cuda").manual_seed(0))
    assert list(there) == list(here)
    for name, value in there.items():
        assert value.is_cuda and value.item() == pytest.approx(here[name].item(), rel=0.02, abs=1e-3), name


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "recipe", ["pairwise", "semisupervised", "probabilistic", "hypermorph", "template", "surfaces"]
)
def test_a_training_runs_there_and_leaves_a_model(recipe, precision, tmp_path):
    write_cases(tmp_path, count=6, shape=(16, 16, 16))
    lists = {"image_list": str(tmp_path / "images"), "label_list": str(tmp_path / "labels")}
    quick = {"encoder": (4, 8), "decoder": (8, 4), "epochs": 2, "steps_per_epoch": 3, "validate_every": 1}
    more = {"device": "cuda:0", "precision": precision, "validation_pairs": 1, "pictures": 0}
    if recipe in ("pairwise", "template", "hypermorph", "probabilistic"):
        del lists["label_list"]
    result = train(make_config(recipe, {**lists, **quick, **more, "output_dir": str(tmp_path / "run")}))
    assert all(math.isfinite(loss) for loss in result.losses.values())
    assert result.last.is_file()


@needs_cuda
def test_a_training_resumes_there(tmp_path):
    write_cases(tmp_path, count=4, shape=(16, 16, 16))
    values = {"image_list": str(tmp_path / "images"), "encoder": (4, 8), "decoder": (8, 4), "steps_per_epoch": 2}
    values |= {"device": "cuda:0", "validate_every": 1, "pictures": 0, "output_dir": str(tmp_path / "run")}
    first = train(make_config("pairwise", {**values, "epochs": 1}))
    again = train(make_config("pairwise", {**values, "epochs": 2}), resume=True)
    assert (first.step, again.step) == (2, 4)
