"""The regularisation of models that were trained for all values of it."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from support.hyper_networks import JOINT, write_hyper_dense, write_hyper_joint
from support.keras_files import synthmorph_layers, write_keras
from support.tiny_networks import a_pair, filled
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.networks.registrar import choose_regularisation, hyperparameter_count
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.entry import ModelEntry, supports_regularisation
from VoxelMorphLib.weights.load import load_network

PAIR = a_pair((16, 16, 16))


def displacement(network: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network.fields(*PAIR).displacement


@pytest.fixture(params=[write_hyper_dense, write_hyper_joint])
def a_hyper_file(request, tmp_path):
    """Each kind of network with hyperparameters in turn."""
    return request.param(tmp_path / "hyper.safetensors")


def test_the_catalogue_tells_which_models_have_it():
    assert [name for name, entry in load_catalogue().items() if supports_regularisation(entry)] == [
        "synthmorph-deform-3",
        "synthmorph-joint-3",
    ]
    assert not supports_regularisation(None)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("HyperVxmDense", {}, True),
        ("HyperVxmJoint", {}, True),
        ("HyperVxmJoint", {"hyp_num": 2}, True),
        ("HyperVxmJoint", {"hyp_num": 0}, False),
        ("VxmDense", {}, False),
    ],
)
def test_the_architecture_tells_whether_a_model_has_it(name, arguments, expected):
    entry = ModelEntry("mine", "Mine", "Aligns.", name, arguments, file="mine.h5", format="keras")
    assert supports_regularisation(entry) is expected


def test_a_value_has_an_effect(a_hyper_file):
    low, high = (load_network(a_hyper_file, regularisation=value)[0] for value in (0.0, 1.0))
    assert hyperparameter_count(low) == 1
    assert not torch.allclose(displacement(low), displacement(high), atol=1e-3)
    choose_regularisation(low, 1.0)
    assert torch.equal(displacement(low), displacement(high))


def test_no_value_leaves_the_default_of_the_network(tmp_path):
    path = write_hyper_dense(tmp_path / "hyper.safetensors", default=0.25)
    own, chosen, other = (load_network(path, regularisation=value)[0] for value in (None, 0.25, 0.75))
    assert torch.equal(displacement(own), displacement(chosen))
    assert not torch.allclose(displacement(own), displacement(other), atol=1e-3)


def test_one_value_is_for_all_hyperparameters(tmp_path):
    network, _entry = load_network(
        write_hyper_dense(tmp_path / "two.safetensors", hyperparameters=2), regularisation=0.3
    )
    assert hyperparameter_count(network) == 2
    assert network.unet.chosen == [0.3, 0.3]


def test_an_ordinary_network_ignores_it(tmp_path):
    path = write_tiny_network(tmp_path / "tiny.safetensors")
    first, second = (load_network(path, regularisation=value)[0] for value in (0.0, 1.0))
    assert hyperparameter_count(first) == 0
    assert torch.equal(displacement(first), displacement(second))


def test_a_file_of_keras_is_evaluated_for_the_value(tmp_path):
    network = filled(HyperVxmJoint(**JOINT), size=0.5)
    path = write_keras(tmp_path / "deform.h5", synthmorph_layers(network))
    for value in (0.1, 0.9):
        found, entry = load_network(path, regularisation=value)
        assert supports_regularisation(entry) and hyperparameter_count(found) == 0
        torch.testing.assert_close(displacement(found), displacement(network.specialise(value)), atol=1e-4, rtol=0)


def test_values_that_are_no_numbers_are_refused(a_hyper_file):
    with pytest.raises(ConfigError, match="hyper is nan; choose a number"):
        load_network(a_hyper_file, regularisation=float("nan"))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "smooth"])
def test_options_take_numbers_from_0_to_1(value):
    with pytest.raises(ConfigError, match=r"hyper is .*; choose a number from 0 to 1\."):
        RegistrationOptions(hyper=value)
    text = json.dumps(RegistrationOptions(hyper=0.75).to_dict())
    assert RegistrationOptions.from_dict(json.loads(text)).hyper == 0.75


def test_what_comes_before_a_model_follows_from_its_entry():
    starts = {name: entry.affine_start for name, entry in load_catalogue().items()}
    assert [name for name, start in starts.items() if start == "centre"] == [
        "synthmorph-affine-2",
        "synthmorph-rigid-1",
        "synthmorph-joint-3",
    ]
    assert starts["synthmorph-deform-3"] == starts["vxm-dense-brain-T1-mse"] == "affine"
    plain = ModelEntry("mine", "Mine", "Aligns.", "VxmDense", file="mine.h5", format="keras")
    assert plain.affine_start == "none"
    assert dataclasses.replace(plain, requires_affine=True).affine_start == "affine"
    assert dataclasses.replace(plain, requires_centring=True).affine_start == "grid"
