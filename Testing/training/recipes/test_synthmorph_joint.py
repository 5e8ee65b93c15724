"""Trainings of the joint registration, and of images that are too small for any network."""

from __future__ import annotations

import pytest
import torch
from support.made_up_training import SMALL, a_batch, a_task, losses, some_info, train
from VoxelMorphLib.core.errors import ConfigError, WeightsError
from VoxelMorphLib.training.recipes import make_config, make_task
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.safetensors_file import write_model


@pytest.fixture(scope="module")
def an_affine_model(tmp_path_factory) -> str:
    """A model of the recipe synthmorph-affine, nearly new."""
    task = a_task("synthmorph-affine", rigid=True)
    network, architecture, arguments = task.published()
    entry = ModelEntry("a", "A", "A test.", architecture, arguments, file="a.safetensors", format="safetensors")
    path = tmp_path_factory.mktemp("affine") / "a.safetensors"
    write_model(network, entry, path)
    return str(path)


@pytest.mark.slow
def test_a_joint_network_goes_on_from_a_frozen_affine_one(an_affine_model, tmp_path):
    task = a_task("synthmorph-joint", affine_weights=an_affine_model)
    affine, _entry = load_network(an_affine_model)
    before = {name: tensor.clone() for name, tensor in affine.state_dict().items()}
    train(task, a_batch(task), steps=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.network.affine.state_dict().items())
    assert task.network.affine.rigid and task.network.mid_space and not task.config.affine_first
    network, architecture, arguments = task.published()
    entry = ModelEntry("j", "J", "A test.", architecture, arguments, file="j.safetensors", format="safetensors")
    write_model(network, entry, tmp_path / "j.safetensors")
    pair = a_batch(task).moving, a_batch(task).fixed
    soft, stiff = (load_network(tmp_path / "j.safetensors", regularisation=value)[0] for value in (0.1, 0.9))
    assert soft.affine.rigid
    assert not torch.equal(soft.fields(*pair).displacement, stiff.fields(*pair).displacement)


def test_lambda_weighs_overlap_and_penalty_of_its_own_pair():
    task = a_task("synthmorph-joint", smoothness=2.0)
    batch = a_batch(task, size=2)
    hyper = task.draw(batch)
    assert hyper.min() > 0 and hyper.max() < 1 and not torch.equal(hyper[:1], hyper[1:])
    moving, fixed = task.synthesise(batch)
    output = task.network(moving.image, fixed.image, hyper[:, None])
    overlap, occurs = task.overlap(fixed, moving, output.displacement)
    found = losses(task, batch)
    expected = ((1 - hyper) * (1 - overlap.sum(1) / occurs.sum(1))).mean() / 2
    torch.testing.assert_close(found["labels"], expected)
    penalties = torch.stack([task.penalty_term(one[None]) for one in output.deformation])
    torch.testing.assert_close(found["penalty"], 2 * (hyper * penalties).mean())


def test_pairs_of_the_joint_recipe_are_brought_together_by_labels_or_by_the_network(an_affine_model):
    alone, after = (a_task("synthmorph-joint", affine_weights=path) for path in ("", an_affine_model))
    batch = a_batch(alone)
    assert alone.config.aligned and not after.config.aligned
    assert torch.equal(after.maps(batch)[0], batch.moving_labels)
    assert alone.network.affine is None and alone.config.affine_first


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"affine_weights": "/no/such.h5"}, r"There is no weights file /no/such\.h5"),
        ({"svf_resolution": 1.0}, "svf_resolution is 1 and int_resolution 2, but the recipe synthmorph-joint computes"),
        ({"field_weight": 1.0}, "synthmorph-joint teaches no known deformation. Leave field_weight at 0"),
        ({"decoder": (4,)}, "decoder names 1 convolutions and encoder 2"),
        ({"hyper_units": 0}, "hyper_units is 0; choose a number from 1"),
        ({"sweep": 0}, "sweep is 0; choose a number from 1"),
        ({"atlas": "/a.nii"}, r"makes its images itself\. Leave atlas empty"),
    ],
)
def test_impossible_joint_trainings_are_refused(tmp_path, values, sentence):
    values = {**SMALL, "label_list": str(tmp_path), "device": "cpu", **values}
    with pytest.raises((ConfigError, WeightsError), match=sentence):
        config = make_config("synthmorph-joint", values)
        config.check_sources()
        make_task(config, some_info())


def test_another_network_is_no_affine_one(tmp_path):
    network, architecture, arguments = a_task("pairwise").published()
    entry = ModelEntry("p", "P", "A test.", architecture, arguments, file="p.safetensors", format="safetensors")
    write_model(network, entry, tmp_path / "p.safetensors")
    with pytest.raises(
        ConfigError, match=r"p\.safetensors, which holds no affine network of SynthMorph for 3 axes and 1"
    ):
        a_task("synthmorph-joint", affine_weights=str(tmp_path / "p.safetensors"))


@pytest.mark.parametrize(
    ("recipe", "least"), [("synthmorph-labels", 4), ("synthmorph-affine", 8), ("synthmorph-joint", 8)]
)
def test_images_that_a_network_cannot_halve_so_often_are_refused(recipe, least):
    make_config(recipe, {**SMALL, "shape": (16, least, 16)}).check_sources()
    config = make_config(recipe, {**SMALL, "shape": (16, least - 1, 16)})
    with pytest.raises(ConfigError, match=f"a network of 2 levels needs at least {least} voxels along each axis"):
        config.check_sources()
