"""What holds for all recipes: they learn, reach all weights, and publish what they have learned."""

from __future__ import annotations

import json
import math

import pytest
import torch
from support.made_up_training import SHAPE, a_batch, a_config, a_scan, a_task, losses, train
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training.options import FREE_ON_RESUME
from VoxelMorphLib.training.recipes import RECIPES, make_config
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import read_model, write_model

ALL = list(RECIPES)


def batch_size(recipe: str) -> int:
    return 1 if recipe == "instance" else 2


@pytest.mark.parametrize("recipe", ALL)
def test_the_loss_falls(recipe):
    task = a_task(recipe)
    rate = 1e-4 if recipe == "instance" else 1e-3  # a thousandth moves each velocity by a whole voxel there
    history = train(task, a_batch(task, size=batch_size(recipe)), steps=4, lr=rate)
    assert all(math.isfinite(value) for value in history)
    assert min(history[1:]) < history[0]


@pytest.mark.parametrize("recipe", ALL)
def test_every_weight_learns(recipe):
    task = a_task(recipe)
    batch = a_batch(task, size=batch_size(recipe))
    train(task, batch, steps=2)  # the first heads start so near to zero that little reaches what is before them
    task.network.zero_grad()
    sum(losses(task, batch, seed=5).values()).backward()
    still = [name for name, p in task.network.named_parameters() if p.grad is None or not p.grad.any()]
    if recipe == "synthmorph-joint":  # biases cancel in the difference of both orders, the last one always
        biases = [f"deform.generated.{2 * number + 1}" for number in range(len(task.network.deform.names) // 2)]
        assert {name.rpartition(".")[0] for name in still} <= set(biases)
        return
    cancelled = ["flow.bias"] if task.config.symmetric else []  # likewise
    assert still == cancelled


@pytest.mark.parametrize("recipe", ALL)
def test_the_same_seed_gives_the_same_losses(recipe):
    task = a_task(recipe)
    batch = a_batch(task, size=batch_size(recipe))
    state = {name: value.clone() for name, value in task.network.state_dict().items()}
    first = losses(task, batch, seed=3)
    task.network.load_state_dict(state)  # the running means of templates have moved
    second = losses(task, batch, seed=3)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("recipe", ALL)
def test_the_published_network_can_be_written_and_gives_the_same_fields(recipe, tmp_path):
    task = a_task(recipe)
    batch = a_batch(task, size=batch_size(recipe))
    train(task, batch, steps=2, lr=1e-2)
    network, architecture, arguments = task.published()
    entry = ModelEntry(
        "made-up", "Made up", "A test.", architecture, arguments, file="made-up.safetensors", format="safetensors"
    )
    write_model(network, entry, tmp_path / "made-up.safetensors")
    again, found = read_model(tmp_path / "made-up.safetensors")
    assert found.architecture == architecture
    moving, fixed = a_scan(7)[0][None], a_scan(8)[0][None]
    expected, given = (task.fields(each.eval(), moving, fixed, task.variants()[0]) for each in (network, again))
    assert torch.equal(given.displacement, expected.displacement)
    assert expected.displacement.abs().max() > 1e-3


@pytest.mark.parametrize("recipe", ALL)
def test_fields_of_a_validation_pair_move_the_moving_image(recipe):
    task = a_task(recipe)
    with torch.no_grad():
        for variant in task.variants():
            pair = task.fields(task.network.eval(), a_scan(9)[0][None], a_scan(10)[0][None], variant)
            assert pair.displacement.shape == (1, 3, *SHAPE)
            assert pair.inverse.shape == (1, 3, *SHAPE)


@pytest.mark.parametrize("recipe", ALL)
def test_a_configuration_survives_json(recipe):
    config = a_config(recipe, labels=(1, 2))
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert make_config(recipe, config.to_dict()) == config


@pytest.mark.parametrize("recipe", ALL)
def test_recipes_are_named_and_described(recipe):
    row = RECIPES[recipe]
    assert row.name == row.config.recipe == recipe
    assert row.title and row.description.endswith(".")
    assert set(FREE_ON_RESUME) <= set(row.config().to_dict())


def test_unknown_recipes_are_refused():
    with pytest.raises(ConfigError, match="recipe is 'knitting'; choose one of pairwise"):
        make_config("knitting", {})


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="PairwiseConfig has no option colour"):
        make_config("pairwise", {"colour": 3})
