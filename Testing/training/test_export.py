"""Checkpoints of all recipes become models that register a pair; what was measured goes with them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.made_up_training import LABELS, SHAPE, a_scan, a_task, some_info
from support.template_models import AGE
from VoxelMorphLib.core.attributes import Attribute
from VoxelMorphLib.core.errors import ConfigError, ImageError, WeightsError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.registration.segment import segment_image
from VoxelMorphLib.training.checkpoint import check_same_training, plain_info, save_checkpoint
from VoxelMorphLib.training.export import ModelFacts, export, export_images
from VoxelMorphLib.training.monitors.curves import write_curves
from VoxelMorphLib.training.recipes import RECIPES
from VoxelMorphLib.weights.load import load_network


def a_checkpoint(folder, recipe="pairwise", info=None, step=6, ema=None, **values):
    """As the trainer writes it, of an untrained network."""
    task = a_task(recipe, info, voxel_size=2.0, **values)
    path = folder / "checkpoints" / "best.pt"
    path.parent.mkdir(exist_ok=True)
    content = {
        "format": 1,
        "recipe": recipe,
        "config": task.config.to_dict(),
        "step": step,
        "network": task.network.state_dict(),
        "optimiser": {},
        "schedule": {},
        "ema": ema,
        "best": {"value": 0.5, "variant": task.variants()[-1], "step": step, "waited": 0},
        "facts": plain_info(task.info),
        "epoch": {},
    }
    save_checkpoint(path, content)
    return path, task


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_model_of_every_recipe_registers_like_its_task(recipe, tmp_path):
    path, task = a_checkpoint(tmp_path, recipe)
    entry = export(path, tmp_path / "m.safetensors")
    network, read = load_network(tmp_path / "m.safetensors")
    assert read == entry
    assert entry.space.shape == SHAPE and entry.space.voxel_size == 2.0
    moving, fixed = (a_scan(number)[0][None] for number in (0, 1))
    fields = task.fields(network, moving, fixed)
    assert fields.displacement.shape == (1, 3, *SHAPE)
    with torch.no_grad():
        expected = task.fields(task.network.eval(), moving, fixed, task.variants()[-1])
    if recipe not in ("hypermorph",):
        assert torch.allclose(fields.displacement, expected.displacement, atol=1e-5)


def test_a_network_of_2018_is_exported_as_it_was_trained(tmp_path):
    values = {"encoder": (2, 3, 4, 5), "decoder": (5, 4, 4, 4, 3), "original": True}
    path, task = a_checkpoint(tmp_path, "probabilistic", **values)
    entry = export(path, tmp_path / "m.safetensors")
    assert (entry.architecture, entry.arguments["original"]) == ("VxmMiccai2018", True)
    network = load_network(tmp_path / "m.safetensors")[0]
    moving, fixed = (a_scan(number)[0][None] for number in (0, 1))
    assert torch.equal(network.flow.weight, task.network.flow.weight)
    assert network.fields(moving, fixed).displacement.shape == (1, 3, *SHAPE)


def test_a_model_that_segments_knows_the_numbers_of_its_labels(tmp_path):
    path, task = a_checkpoint(tmp_path, "atlas-segmentation")
    assert export(path, tmp_path / "m.safetensors").labels == (0, *task.info.labels)
    image = Image(a_scan(0)[0][0].numpy(), Geometry(SHAPE, np.diag([2.0, 2, 2, 1])))
    labels = segment_image(image, tmp_path / "m.safetensors")
    assert set(np.unique(labels.array)) <= {0, *LABELS} and labels.geometry is image.geometry
    path, task = a_checkpoint(tmp_path)
    assert export(path, tmp_path / "n.safetensors").labels == ()


def test_what_registers_nothing_is_refused(tmp_path, monkeypatch):
    path, task = a_checkpoint(tmp_path)
    monkeypatch.setattr(type(task), "published", lambda self: (torch.nn.Linear(1, 1), "Unet", {}))
    with pytest.raises(WeightsError, match="The recipe pairwise trains a Unet, which registers nothing"):
        export(path, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_the_running_mean_of_the_weights_is_exported(tmp_path):
    _, task = a_checkpoint(tmp_path)
    ema = {name: tensor + 1 for name, tensor in task.network.state_dict().items()}
    path, _ = a_checkpoint(tmp_path, ema=ema)
    export(path, tmp_path / "m.safetensors")
    network, _ = load_network(tmp_path / "m.safetensors")
    assert all(torch.equal(tensor, ema[name]) for name, tensor in network.state_dict().items())


def test_what_the_training_measured_goes_with_the_model(tmp_path):
    path, _ = a_checkpoint(tmp_path, step=6)
    rows = [
        {"epoch": 1, "step": 3, "val_dice": 0.1},
        {"epoch": 2, "step": 6, "val_dice": 0.71234567, "val_dice_3": 0.5, "val_back_dice": 0.7},
    ]
    write_curves(tmp_path / "curves.csv", rows)
    entry = export(path, tmp_path / "m.safetensors", ModelFacts(command="VoxelMorphTrain --seed 1"))
    there, back = entry.measured
    assert (there["metric"], there["value"]) == ("mean Dice", 0.71235)
    assert (back["metric"], back["value"]) == ("mean Dice, fixed to moving by the inverse", 0.7)
    assert there["command"] == back["command"] == "VoxelMorphTrain --seed 1"


def test_without_curves_nothing_was_measured(tmp_path):
    path, _ = a_checkpoint(tmp_path)
    assert export(path, tmp_path / "m.safetensors").measured == ()


def test_a_model_has_a_name_even_where_nobody_gave_one(tmp_path):
    path, _ = a_checkpoint(tmp_path)
    entry = export(path, tmp_path / "my model (2).safetensors")
    assert (entry.id, entry.title, entry.format) == ("my-model-2", "my-model-2", "safetensors")
    assert entry.description and not entry.requires_affine


def test_facts_about_a_model_are_kept(tmp_path):
    path, _ = a_checkpoint(tmp_path)
    facts = ModelFacts("hip", "Hips", "Aligns hips.", "hip", "CT", "MIT", "A paper", True, True, "command")
    entry = export(path, tmp_path / "m.safetensors", facts)
    for name, value in dataclasses.asdict(facts).items():
        assert name == "command" or getattr(entry, name) == value


@pytest.mark.parametrize(
    ("name", "facts", "error", "message"),
    [
        ("m.pt", {}, ConfigError, "does not end in .safetensors"),
        ("m.safetensors", {"id": "a b"}, ConfigError, "needs an id of letters"),
    ],
)
def test_impossible_names_are_refused(tmp_path, name, facts, error, message):
    path, _ = a_checkpoint(tmp_path)
    with pytest.raises(error, match=message):
        export(path, tmp_path / name, ModelFacts(**facts))
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoints"]


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    path, _task = a_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    save_checkpoint(path, {**content, "config": {**content["config"], "encoder": (4, 9)}})
    with pytest.raises(WeightsError, match="belongs to another architecture"):
        export(path, tmp_path / "m.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path, _task = a_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    next(iter(content["network"].values())).fill_(float("nan"))
    save_checkpoint(path, content)
    with pytest.raises(WeightsError, match="NaN"):
        export(path, tmp_path / "m.safetensors")


def test_a_learned_template_is_written_in_the_training_space(tmp_path):
    path, task = a_checkpoint(tmp_path, "template")
    (file,) = export_images(path, tmp_path)
    image = read_image(file)
    assert file.name == "template.nii.gz"
    assert image.geometry.spacing == pytest.approx([2, 2, 2])
    assert torch.allclose(torch.from_numpy(image.array), task.images()["template"][0], atol=1e-6)


@pytest.fixture
def known_intensities(tmp_path):
    """Writes what is known of the intensities of some labels; returns the file's name."""

    def write(*means: float) -> str:
        np.savez(tmp_path / "known.npz", init_mu=means, init_sigma=[0.1] * len(means))
        return str(tmp_path / "known.npz")

    return write


def test_known_intensities_are_exported_without_their_file(tmp_path, known_intensities):
    path, _ = a_checkpoint(tmp_path, "atlas-segmentation", init_stat=known_intensities(0.1, 0.5, 0.9))
    known_intensities(0.2, 0.2, 0.2)
    entry = export(path, tmp_path / "m.safetensors")
    assert entry.arguments["means"] == pytest.approx([0.1, 0.5, 0.9])
    (tmp_path / "known.npz").unlink()
    assert export(path, tmp_path / "m.safetensors") == entry


def test_an_older_checkpoint_needs_the_file_of_known_intensities(tmp_path, known_intensities):
    path, _ = a_checkpoint(tmp_path, "atlas-segmentation", init_stat=known_intensities(0.1, 0.5, 0.9))
    content = torch.load(path, weights_only=True)
    del content["facts"]["intensities"]
    save_checkpoint(path, content)
    assert export(path, tmp_path / "m.safetensors").arguments["means"] == pytest.approx([0.1, 0.5, 0.9])
    (tmp_path / "known.npz").unlink()
    with pytest.raises(ImageError, match=r"known\.npz does not exist"):
        export(path, tmp_path / "m.safetensors")


@pytest.mark.parametrize("recipe", ["pairwise", "atlas-segmentation"])
def test_recipes_without_a_template_write_no_image(tmp_path, recipe):
    path, _ = a_checkpoint(tmp_path, recipe)
    assert export_images(path, tmp_path) == []


def test_a_conditional_model_knows_its_attributes(tmp_path):
    path, _ = a_checkpoint(tmp_path, "conditional-template", some_info(described=(AGE,)))
    assert export(path, tmp_path / "m.safetensors").attributes == (AGE,)
    assert load_network(tmp_path / "m.safetensors")[1].attributes == (AGE,)


def test_an_older_conditional_model_numbers_its_attributes(tmp_path):
    path, _ = a_checkpoint(tmp_path, "conditional-template")
    content = torch.load(path, weights_only=True)
    del content["facts"]["described"]
    save_checkpoint(path, content)
    assert export(path, tmp_path / "m.safetensors").attributes == (Attribute("attribute1"),)


def test_a_training_on_attributes_as_they_are_is_not_resumed(tmp_path):
    path, task = a_checkpoint(tmp_path, "conditional-template", some_info(described=(AGE,)))
    content = torch.load(path, weights_only=True)
    check_same_training(path, content, task.config, task.info)
    del content["facts"]["described"]
    with pytest.raises(ConfigError, match="earlier version, which did not standardise attributes"):
        check_same_training(path, content, task.config, task.info)
    content["facts"]["described"] = [{**AGE.to_dict(), "mean": 60}]
    with pytest.raises(ConfigError, match="The data have changed"):
        check_same_training(path, content, task.config, task.info)
