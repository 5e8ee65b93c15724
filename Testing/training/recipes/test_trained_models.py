"""Every recipe from files on the disk to a model that registers two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.made_up_training import a_config, a_task
from support.small_scans import write_scans
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.training.build import build_training
from VoxelMorphLib.training.export import export
from VoxelMorphLib.training.recipes import RECIPES
from VoxelMorphLib.training.trainer import train
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

#: One epoch of three steps, validated at its end.
SHORT = {"epochs": 1, "steps_per_epoch": 3, "validate_every": 1, "lr": 1e-3, "device": "cpu", "pictures": 0}


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    folder = write_scans(tmp_path_factory.mktemp("scans"))
    rows = "".join(f"scan{number},{number - 2.5}\n" for number in range(6))
    (folder / "age.csv").write_text(f"name,age\n{rows}", encoding="utf-8")
    (folder / "pair.txt").write_text("images/scan0.nii.gz images/scan1.nii.gz\n", encoding="utf-8")
    return folder


def lists_of(recipe: str, folder: Path) -> dict[str, Any]:
    """What a recipe is given to train on."""
    if recipe == "instance":
        return {"pair_list": str(folder / "pair.txt")}
    if recipe in ("synthmorph-shapes", "synthmorph-borders"):
        return {}
    if recipe.startswith("synthmorph-"):
        return {"label_list": str(folder / "labels"), "validation_pairs": 1}
    lists: dict[str, Any] = {"image_list": str(folder / "images"), "label_list": str(folder / "labels")}
    if recipe == "atlas":
        lists["atlas"] = str(folder / "images" / "scan5.nii.gz")
    if recipe == "conditional-template":
        lists["attributes"] = str(folder / "age.csv")
    return {**lists, "validation_pairs": 1}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_three_steps_make_a_model_that_registers_a_pair(recipe, scans, tmp_path):
    config = a_config(recipe, **lists_of(recipe, scans), **SHORT, output_dir=str(tmp_path / "out"))
    result = train(config)
    assert result.step == 3
    entry = export(result.best, tmp_path / "model.safetensors")
    if recipe in ("hypermorph", "synthmorph-joint"):
        assert entry.arguments["default"] == float(result.best_variant)
    assert entry.requires_affine == (
        recipe in ("synthmorph-joint", "synthmorph-shapes", "synthmorph-structures", "synthmorph-borders")
    )
    fixed, moving = (read_image(scans / "images" / f"scan{number}.nii.gz") for number in (2, 3))
    registration = register_pair(fixed, moving, str(tmp_path / "model.safetensors"))
    assert registration.moved.array.shape == fixed.array.shape
    assert np.isfinite(registration.moved.array).all()


@pytest.mark.parametrize("recipe", ["semisupervised", "instance"])
def test_a_model_of_another_recipe_can_be_gone_on_with(recipe, scans, tmp_path):
    network, architecture, arguments = a_task("pairwise").published()
    torch.nn.init.constant_(network.flow.bias, 0.3)
    entry = ModelEntry("a", "A", "A test.", architecture, arguments, file="a.safetensors", format="safetensors")
    write_model(network, entry, tmp_path / "a.safetensors")
    lists = lists_of(recipe, scans)
    values = {**lists, **SHORT, "output_dir": str(tmp_path / "out"), "init_weights": str(tmp_path / "a.safetensors")}
    values["symmetric"] = False  # as the other recipe
    task, data = build_training(a_config(recipe, **values))
    batch = next(iter(data.batches(0, 1)))
    task.losses(task.network, batch, torch.Generator())
    with torch.no_grad():
        expected, given = (n.eval().fields(batch.moving, batch.fixed).displacement for n in (network, task.network))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-4)
    assert expected.abs().max() > 0.1
