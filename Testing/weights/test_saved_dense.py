"""VxmDense of scripts: what is saved comes back, trains on, and registers like every other model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.keras_files import DENSE_CONFIG, dense_layers, write_keras
from support.tiny_networks import TINY, a_dense, a_pair, filled
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib import NetworkSpace, RegistrationOptions, VxmDense, register
from VoxelMorphLib.core.errors import ConfigError, WeightsError


def test_a_saved_network_comes_back_and_trains_on(tmp_path):
    network = filled(VxmDense(2, TINY, int_steps=3, bidir=True))
    again = VxmDense.load(network.save(tmp_path / "flat net.safetensors"))
    assert again.arguments == {"ndims": 2, "features": [list(part) for part in TINY], "int_steps": 3, "bidir": True}
    pair = a_pair((16, 12))
    ours, theirs = network(*pair), again(*pair)
    assert torch.equal(ours.displacement, theirs.displacement) and torch.equal(ours.inverse, theirs.inverse)
    theirs.moved.sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())
    assert again.training and VxmDense.load(again.save(tmp_path / "b.safetensors")).arguments == again.arguments


def test_a_saved_network_registers_by_its_file(tmp_path):
    space = NetworkSpace(shape=(16, 16, 16), intensity="percentile")
    path = filled(VxmDense(3, TINY)).save(tmp_path / "mine.safetensors", space, "Mine")
    image = a_blob_image(a_geometry("RAS", (16, 16, 16)))
    report = register(image, image, path, RegistrationOptions(affine="none", device="cpu")).report
    assert (report.model, report.model_title) == ("mine", "Mine")


def test_files_of_the_original_are_loaded_too(tmp_path):
    network = a_dense(2)
    found = VxmDense.load(write_keras(tmp_path / "a.h5", dense_layers(network), "VxmDense", DENSE_CONFIG))
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())


def test_other_networks_and_other_formats_are_refused(tmp_path):
    arrays = {"local_param_with_input": {"kernel": np.zeros((8, 6, 4, 3), np.float32)}}
    path = write_keras(tmp_path / "one.h5", arrays, "InstanceDense", {"inshape": [16, 12, 8]})
    with pytest.raises(WeightsError, match=r"one\.h5 holds a InstanceDense, not a VxmDense"):
        VxmDense.load(path)
    with pytest.raises(ConfigError, match=r"does not end in \.safetensors"):
        VxmDense(2, TINY).save(tmp_path / "a.pt")
