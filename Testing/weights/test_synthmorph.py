"""Files in the layout of FreeSurfer's SynthMorph: weights only, nested, with numbered names."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from support.keras_files import synthmorph_layers, write_keras
from support.tiny_networks import a_pair, filled
from torch import nn
from VoxelMorphLib.core.config import NetworkSpace, RegistrationOptions
from VoxelMorphLib.core.errors import ConfigError, WeightsError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.networks.affine_detector import VxmAffineFeatureDetector
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.registration.predictor import load_predictor
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.keras import network_from_keras
from VoxelMorphLib.weights.keras_file import KerasFile, read_keras
from VoxelMorphLib.weights.keras_synthmorph import joint_from_keras
from VoxelMorphLib.weights.keras_synthmorph import synthmorph_layers as roles
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.store import delete_downloaded, state

DETECTOR = {"num_feat": 8, "enc_nf": [4, 6], "dec_nf": [], "add_nf": [6, 5]}
DEFORM = {"hyp_units": [5, 4], "enc_nf": [4, 6], "dec_nf": [6, 4], "add_nf": [4, 5]}
SHAPE = {2: (32, 24), 3: (16, 16, 16)}


def a_detector(ndims: int = 3, **options) -> VxmAffineFeatureDetector:
    return filled(VxmAffineFeatureDetector(ndims, **{**DETECTOR, **options}))


def a_deformable(ndims: int = 3, **options) -> HyperVxmJoint:
    return filled(HyperVxmJoint(ndims, **{**DEFORM, "skip_affine": True, **options}), size=0.5)


def a_joint(ndims: int = 2, **options) -> HyperVxmJoint:
    return filled(HyperVxmJoint(ndims, **{**DEFORM, "affine": DETECTOR, **options}), size=0.5)


def a_file(folder: Path, network: nn.Module, name: str = "weights.h5", first: int = 7) -> Path:
    return write_keras(folder / name, synthmorph_layers(network, first))


def assert_equal_weights(found: nn.Module, network: nn.Module) -> None:
    state = network.state_dict()
    assert set(found.state_dict()) == set(state)
    for name, tensor in found.state_dict().items():
        assert torch.allclose(tensor, state[name], atol=1e-6), name


@pytest.mark.parametrize("ndims", [2, 3])
@pytest.mark.parametrize("build", [a_detector, a_deformable, a_joint])
@pytest.mark.parametrize("hyper", [None, 0.5])
def test_weights_and_structure_come_back(tmp_path, ndims, build, hyper):
    network = build(ndims)
    found = network_from_keras(a_file(tmp_path, network), hyperparameters=hyper)
    assert type(found) is type(network)
    assert not found.training
    if hyper is not None and isinstance(network, HyperVxmJoint):
        network = network.specialise(hyper)
    assert_equal_weights(found, network)
    pair = a_pair(SHAPE[ndims])
    assert torch.allclose(found.fields(*pair).displacement, network.fields(*pair).displacement, atol=1e-4)


@pytest.mark.parametrize("options", [{"dec_nf": [5]}, {"dec_nf": [5], "per_level": 2}, {"add_nf": []}])
def test_options_say_what_shapes_do_not(tmp_path, options):
    network = a_detector(2, **options)
    found = network_from_keras(a_file(tmp_path, network), **{**DETECTOR, **options}, rigid=True)
    assert_equal_weights(found, network)
    assert found.rigid


@pytest.mark.parametrize("per_level", [1, 2])
def test_levels_of_a_deformable_network_show_in_its_shapes(tmp_path, per_level):
    network = a_deformable(2, per_level=per_level, hyp_num=2)
    assert_equal_weights(network_from_keras(a_file(tmp_path, network)), network)


def test_a_network_of_one_smoothness_is_read(tmp_path):
    """As FreeSurfer's first deformable file."""
    plain = a_deformable(2, hyp_num=0)
    assert_equal_weights(network_from_keras(a_file(tmp_path, plain)), plain)
    both = a_joint(hyp_num=0)
    assert_equal_weights(network_from_keras(a_file(tmp_path, both)), both)


@pytest.mark.parametrize("first", [0, 1, 96])
def test_layers_count_by_their_numbers(tmp_path, first):
    """9, 10, 11 in the order of the network, listed in any order; the first one of a type has no number."""
    network = a_joint()
    layers = list(synthmorph_layers(network, first).items())
    random.Random(1).shuffle(layers)
    layers = {name.removesuffix("_0"): arrays for name, arrays in layers}
    path = write_keras(tmp_path / "weights.h5", layers)
    assert_equal_weights(network_from_keras(path), network)


def test_layers_without_a_model_around_them_are_read(tmp_path):
    network = a_deformable(2)
    layers = {name.split("/")[-1]: arrays for name, arrays in synthmorph_layers(network).items()}
    assert_equal_weights(network_from_keras(write_keras(tmp_path / "weights.h5", layers)), network)


@pytest.mark.parametrize("hyper", [None, 0.3])
def test_two_files_make_a_joint_network(tmp_path, hyper):
    network = a_joint(2, mid_space=True)
    affine = filled(VxmAffineFeatureDetector(2, **DETECTOR))
    affine.load_state_dict(network.affine.state_dict())
    deform = HyperVxmJoint(2, **DEFORM, skip_affine=True)
    deform.deform.load_state_dict(network.deform.state_dict())
    paths = [a_file(tmp_path, affine, "affine.h5", 3), a_file(tmp_path, deform, "deform.h5", 50)]
    found = joint_from_keras(*paths, hyperparameters=hyper, mid_space=True)
    assert found.mid_space
    assert_equal_weights(found, network if hyper is None else network.specialise(hyper))
    with pytest.raises(WeightsError, match="are not an affine and a deformable SynthMorph network"):
        joint_from_keras(*paths[::-1])


def test_the_hypernetwork_is_never_in_memory_as_a_whole(tmp_path, monkeypatch):
    """Evaluated while it is read, row by row, no tensor has the units in front of a kernel."""
    path = a_file(tmp_path, a_deformable(2))
    built, whole = [], []
    read = KerasFile.read_one
    monkeypatch.setattr(KerasFile, "read_one", lambda *a: whole.append(a[2]) or read(*a))
    monkeypatch.setattr(
        "VoxelMorphLib.weights.keras_synthmorph.network_from_state", lambda *a: built.append(a) or nn.Module()
    )
    network_from_keras(path, hyperparameters=0.5)
    (name, arguments, state, _) = built[0]
    assert name == "HyperVxmJoint"
    assert arguments["hyp_num"] == 0
    assert max(tensor.ndim for tensor in state.values()) == 4
    assert set(whole) == {"kernel", "bias", "hyperkernel_bias", "hyperbias_bias"}


def test_a_hypernetwork_of_contradicting_extents_is_refused(tmp_path):
    layers = synthmorph_layers(a_deformable(2))
    name = next(name for name in layers if "hyper_conv" in name)
    layers[name]["hyperkernel_kernel"] = layers[name]["hyperkernel_kernel"][:-1]
    path = write_keras(tmp_path / "weights.h5", layers)
    with pytest.raises(WeightsError, match=r"holds hyperkernel_kernel of shape \(3, \d+\) in hyper_conv_from_dense_7"):
        network_from_keras(path, hyperparameters=0.5)


@pytest.fixture
def a_published_model(tmp_path) -> tuple[ModelEntry, HyperVxmJoint]:
    """A small network that is listed, found and checked as the published one is."""
    network = a_deformable(3, bidir=True, mid_space=True)
    path = a_file(tmp_path, network, "synthmorph.deform.3.h5")
    entry = dataclasses.replace(
        load_catalogue()["synthmorph-deform-3"],
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        arguments={**load_catalogue()["synthmorph-deform-3"].arguments, **DEFORM},
    )
    return entry, network


def test_the_published_hypernetwork_is_read_once(a_published_model, tmp_path):
    entry, network = a_published_model
    first, found = load_network(entry, tmp_path)
    assert found is entry
    assert_equal_weights(first, network.specialise(0.5))
    assert first.bidir
    (tmp_path / "synthmorph.deform.3.h5").unlink()
    second, found = load_network(entry)
    assert found is entry
    assert_equal_weights(second, first)
    with pytest.raises(WeightsError, match="cannot be reached"):
        load_network(dataclasses.replace(entry, url="http://127.0.0.1:9/absent.h5"), regularisation=0.9)


def test_another_smoothness_is_another_network(a_published_model, tmp_path, a_cache_folder):
    entry, network = a_published_model
    for hyper in (0.1, 0.9):
        assert_equal_weights(load_network(entry, tmp_path, regularisation=hyper)[0], network.specialise(hyper))
    assert len(list(a_cache_folder.iterdir())) == 2


def test_few_regularities_are_kept_and_go_with_the_model(a_published_model, tmp_path, a_cache_folder, monkeypatch):
    entry, _network = a_published_model
    monkeypatch.setattr("VoxelMorphLib.weights.specialised.MOST_KEPT", 2)
    for hyper in (0.9, 0.2, 0.5):
        load_network(entry, tmp_path, regularisation=hyper)
    kept = sorted(path.name for path in a_cache_folder.iterdir())
    assert [name.rpartition("-")[2] for name in kept] == ["0.2.safetensors", "0.5.safetensors"]
    (a_cache_folder / "synthmorph-deform-3-mine.safetensors").touch()
    assert delete_downloaded(entry)
    assert [path.name for path in a_cache_folder.iterdir()] == ["synthmorph-deform-3-mine.safetensors"]


def test_a_damaged_copy_in_the_cache_is_made_again(a_published_model, tmp_path, a_cache_folder):
    entry, network = a_published_model
    load_network(entry, tmp_path)
    (kept,) = a_cache_folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:-50])
    assert_equal_weights(load_network(entry, tmp_path)[0], network.specialise(0.5))
    assert_equal_weights(load_network(entry)[0], network.specialise(0.5))


def test_a_cache_that_cannot_be_written_does_no_harm(a_published_model, tmp_path, a_cache_folder):
    entry, network = a_published_model
    a_cache_folder.write_text("a file where the folder should be")
    assert_equal_weights(load_network(entry, tmp_path)[0], network.specialise(0.5))


@pytest.fixture
def a_published_pipeline(tmp_path, monkeypatch) -> tuple[ModelEntry, HyperVxmJoint]:
    """Small files of an affine and a deformable network that are listed as the published ones are, and their joint."""
    network = a_joint(3, mid_space=True, bidir=True)
    affine = filled(VxmAffineFeatureDetector(3, **DETECTOR))
    affine.load_state_dict(network.affine.state_dict())
    deform = HyperVxmJoint(3, **DEFORM, skip_affine=True)
    deform.deform.load_state_dict(network.deform.state_dict())
    catalogue = dict(load_catalogue())
    for name, part in (("synthmorph-affine-2", affine), ("synthmorph-joint-3", deform)):
        path = a_file(tmp_path, part, catalogue[name].file)
        facts = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        arguments = {**catalogue[name].arguments, **(DEFORM | {"affine": DETECTOR} if part is deform else DETECTOR)}
        catalogue[name] = dataclasses.replace(catalogue[name], **facts, arguments=arguments)
    for module in ("load", "catalogue"):
        monkeypatch.setattr(f"VoxelMorphLib.weights.{module}.load_catalogue", lambda *_path: catalogue)
    return catalogue["synthmorph-joint-3"], network


def test_the_published_pipeline_is_made_of_two_files(a_published_pipeline, tmp_path, a_cache_folder):
    entry, network = a_published_pipeline
    assert state(entry) == "to download"
    assert state(entry, tmp_path) == "in your folder"
    first, found = load_network("synthmorph-joint-3", tmp_path, regularisation=0.3)
    assert found is entry and found.affine_start == "centre"
    assert_equal_weights(first, network.specialise(0.3))
    assert first.mid_space and first.bidir and first.multiple == 8
    pair = a_pair(SHAPE[3])
    torch.testing.assert_close(first.fields(*pair).displacement, network.specialise(0.3).fields(*pair).displacement)
    for name in ("synthmorph.affine.2.h5", "synthmorph.deform.3.h5"):
        (tmp_path / name).unlink()
    assert_equal_weights(load_network("synthmorph-joint-3", tmp_path, regularisation=0.3)[0], first)
    assert len(list(a_cache_folder.iterdir())) == 1


def test_a_missing_affine_part_is_named(a_published_pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("VoxelMorphLib.weights.store.download", lambda url, *_rest: pytest.fail(url))
    (tmp_path / "synthmorph.affine.2.h5").unlink()
    assert state(a_published_pipeline[0], tmp_path) == "to download"
    with pytest.raises(pytest.fail.Exception, match=r"synthmorph\.affine\.2\.h5"):
        load_network("synthmorph-joint-3", tmp_path)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("name", ["synthmorph-joint-3", "synthmorph-deform-3"])
def test_the_ends_of_the_interval_are_refused_before_anything_is_fetched(name, value):
    image = Image(np.random.default_rng(0).random((16, 16, 16), np.float32), Geometry((16,) * 3, np.eye(4)))
    request = RegistrationRequest(image, image, name, RegistrationOptions(hyper=value))
    with pytest.raises(ConfigError, match=f"hyper is {value}, but {name} was trained for values between 0 and 1"):
        load_predictor(request, lambda *_: None)


def test_only_a_joint_network_takes_an_affine_part():
    with pytest.raises(ConfigError, match="has an affine_model, which only a HyperVxmJoint network can take"):
        dataclasses.replace(load_catalogue()["synthmorph-shapes"], affine_model="synthmorph-affine-2")


def test_a_rigid_model_is_rigid_by_its_entry(tmp_path):
    path = a_file(tmp_path, a_detector(3), "synthmorph.rigid.1.h5")
    listed = load_catalogue()["synthmorph-rigid-1"]
    entry = dataclasses.replace(
        listed,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        arguments={**listed.arguments, **DETECTOR},
    )
    network, _ = load_network(entry, tmp_path)
    linear = network.fields(*a_pair(SHAPE[3])).matrix[0, :, :3]
    assert torch.allclose(linear @ linear.T, torch.eye(3), atol=1e-5)


@pytest.mark.parametrize(("build", "affine_first"), [(a_detector, False), (a_deformable, True), (a_joint, False)])
def test_a_file_by_its_path_is_fed_as_synthmorph(tmp_path, build, affine_first):
    network, entry = load_network(a_file(tmp_path, build(3)))
    assert entry.space == NetworkSpace(1.0, "LIA", (256, 256, 256), 32, "image", "minmax")
    assert entry.requires_affine == affine_first
    assert not entry.requires_skull_strip
    assert network.fields(*a_pair(SHAPE[3])).displacement.isfinite().all()


@pytest.mark.parametrize("hyper", [[0.1, 0.2], float("nan"), []])
def test_impossible_hyperparameters_are_refused(tmp_path, hyper):
    path = a_file(tmp_path, a_deformable(2))
    with pytest.raises(ConfigError, match="takes 1 hyperparameters, got"):
        network_from_keras(path, hyperparameters=hyper)


def changed(name: str, short: str, array: np.ndarray, network: nn.Module) -> dict:
    layers = synthmorph_layers(network)
    key = next(key for key in layers if key.endswith(name))
    layers[key] = {**layers[key], short: array}
    return layers


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (changed("conv2d_9", "kernel", np.zeros((3, 3, 6, 7), np.float32), a_detector(2)), "has the shape"),
        (changed("dense_7", "kernel", np.zeros((1, 3), np.float32), a_deformable(2)), "has the shape"),
        (
            changed("from_dense_8", "hyperkernel_bias", np.zeros(7, np.float32), a_deformable(2)),
            "holds no HyperVxmJoint network of 2 axes",
        ),
        (changed("from_dense_8", "hyperbias_bias", np.zeros(3, np.float32), a_deformable(2)), "HyperVxmJoint"),
        (changed("conv2d_9", "kernel", np.full((3, 3, 6, 6), np.nan, np.float32), a_detector(2)), "NaN"),
    ],
)
@pytest.mark.parametrize("hyper", [None, 0.5])
def test_weights_that_do_not_fit_are_refused(tmp_path, layers, text, hyper):
    path = write_keras(tmp_path / "weights.h5", layers)
    with pytest.raises(WeightsError, match=text if hyper is None else "VxmAffineFeatureDetector|HyperVxmJoint|NaN"):
        network_from_keras(path, hyperparameters=hyper)


def test_other_files_are_none_of_synthmorph(tmp_path):
    layers = synthmorph_layers(a_deformable(2))
    no_hidden = {name: arrays for name, arrays in layers.items() if "/dense" not in name}
    assert roles(read_keras(write_keras(tmp_path / "a.h5", no_hidden))) is None
    foreign = {**layers, "attention": {"kernel": np.zeros((3, 3), np.float32)}}
    assert roles(read_keras(write_keras(tmp_path / "b.h5", foreign))) is None
