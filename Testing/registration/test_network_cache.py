"""Networks are loaded once, as long as their file stays the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from support.hyper_networks import JOINT, write_hyper_dense, write_hyper_joint
from support.keras_files import synthmorph_layers, write_keras
from support.tiny_networks import filled
from support.volumes import a_blob_image, a_geometry
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import WeightsError
from VoxelMorphLib.networks.joint import HyperVxmJoint
from VoxelMorphLib.registration import memo as network_cache
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.compared_pair import ComparedPair
from VoxelMorphLib.registration.memo import NetworkCache
from VoxelMorphLib.registration.register import register_pair


@pytest.fixture
def loads(monkeypatch):
    """The models that were really loaded."""
    seen, load = [], network_cache.load_network

    def counted(model, *rest):
        seen.append(Path(model).name)
        return load(model, *rest)

    monkeypatch.setattr(network_cache, "load_network", counted)
    return seen


@pytest.fixture
def a_file(tmp_path):
    return write_tiny_network(tmp_path / "tiny.safetensors")


def test_a_network_is_loaded_once_per_precision(loads, a_file):
    networks = NetworkCache()
    first = networks.load(a_file)
    assert networks.load(a_file) is first
    assert networks.load(str(a_file)) is first
    other = networks.load(a_file, precision="bfloat16")
    assert other[0] is not first[0]
    assert networks.load(a_file) is first
    assert loads == ["tiny.safetensors"] * 2


def test_a_changed_file_is_loaded_again(loads, a_file):
    networks = NetworkCache()
    first = networks.load(a_file)
    write_tiny_network(a_file, seed=1)
    os.utime(a_file, ns=(1, 1))
    assert networks.load(a_file) is not first
    assert len(loads) == 2


def test_the_least_recently_used_network_goes_first(loads, tmp_path):
    files = [write_tiny_network(tmp_path / f"{name}.safetensors") for name in "abc"]
    networks = NetworkCache(capacity=2)
    for index in (0, 1, 0, 2, 0, 1):
        networks.load(files[index])
    assert "".join(name[0] for name in loads) == "abcb"


def test_a_cleared_cache_holds_nothing(loads, a_file):
    networks = NetworkCache()
    networks.load(a_file)
    networks.clear()
    networks.load(a_file)
    assert len(loads) == 2


def test_failures_are_not_kept(loads, tmp_path):
    networks = NetworkCache()
    path = tmp_path / "tiny.safetensors"
    with pytest.raises(WeightsError, match="There is no weights file"):
        networks.load(path)
    write_tiny_network(path)
    networks.load(path)


def test_register_uses_the_cache(loads, a_file):
    networks = NetworkCache()
    image = a_blob_image(a_geometry("RAS", (16, 16, 16)))
    for _click in range(2):
        register_pair(
            image, image, a_file, RegistrationOptions(affine="none", device="cpu"), cache=RegistrationCache(networks)
        )
    assert loads == ["tiny.safetensors"]


@pytest.mark.parametrize("write", [write_hyper_dense, write_hyper_joint])
def test_a_network_with_hyperparameters_is_loaded_once_for_all_values(loads, tmp_path, write):
    networks, path = NetworkCache(), write(tmp_path / "hyper.safetensors")
    pair = torch.rand(2, 1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    fields = []
    for value in (0.1, 0.9, 0.1):
        network, _entry = networks.load(path, regularisation=value)
        with torch.no_grad():
            fields.append(network.fields(*pair).displacement)
    assert loads == ["hyper.safetensors"]
    assert torch.equal(fields[0], fields[2])
    assert not torch.allclose(fields[0], fields[1], atol=1e-3)


def test_a_network_that_was_read_for_one_value_is_kept_for_it(loads, tmp_path):
    path = write_keras(tmp_path / "deform.h5", synthmorph_layers(filled(HyperVxmJoint(**JOINT), size=0.5)))
    networks = NetworkCache()
    low, high = (networks.load(path, regularisation=value)[0] for value in (0.1, 0.9))
    assert high is not low
    assert networks.load(path, regularisation=0.1)[0] is low
    assert len(loads) == 2


def test_the_regularity_of_the_options_reaches_the_network(loads, tmp_path, monkeypatch):
    monkeypatch.setattr(ComparedPair, "improved", lambda *_: True)  # of random weights, too
    networks, path = NetworkCache(), write_hyper_dense(tmp_path / "hyper.safetensors")
    image = a_blob_image(a_geometry("RAS", (16, 16, 16)))
    fields = []
    for value in (0.0, 1.0):
        options = RegistrationOptions(affine="none", device="cpu", hyper=value)
        result = register_pair(image, image, path, options, cache=RegistrationCache(networks))
        fields.append(result.forward.array)
        assert result.report.options["hyper"] == value
    assert loads == ["hyper.safetensors"]
    assert abs(fields[0] - fields[1]).max() > 1e-3
