"""Every network that can be trained is written, read again from its file, and registers a pair."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import TINY, filled
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.safetensors_file import write_model

SHAPE = (8, 12, 8)
SMALL = {"features": [list(part) for part in TINY]}
NETWORKS = {
    "HyperVxmDense": {**SMALL, "hyper_layers": 2, "hyper_units": 4, "default": 0.25, "svf_resolution": 2},
    "VxmDenseSemiSupervisedSeg": {**SMALL, "label_resolution": 1, "bidir": True},
    "VxmDenseSemiSupervisedPointCloud": SMALL,
    "InstanceDense": {"shape": list(SHAPE), "multiplier": 10, "std": 0.1},
    "TemplateCreation": {**SMALL, "shape": list(SHAPE), "mean_cap": 10},
    "ConditionalTemplateCreation": {**SMALL, "shape": list(SHAPE), "attributes": 2, "generator_features": 3},
    "ProbAtlasSegmentation": {**SMALL, "labels": 1, "means": [0.5], "sigmas": [0.2]},
}


@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items(), ids=NETWORKS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_trained_network_comes_back_and_registers(tmp_path, name, arguments, precision):
    network = filled(build_network(name, arguments))
    entry = ModelEntry("mine", "Mine", "Aligns.", name, arguments, file="mine.h5", format="keras")
    write_model(network, entry, tmp_path / "mine.safetensors")
    found, described = load_network(tmp_path / "mine.safetensors", precision=precision)
    assert described.architecture == name
    pair = torch.rand(2, 1, 1, *SHAPE, generator=torch.Generator().manual_seed(0)).unbind(0)
    with torch.inference_mode():
        ours, theirs = network.fields(*pair), found.fields(*pair)
    assert theirs.displacement.shape == (1, 3, *SHAPE) and theirs.displacement.dtype == torch.float32
    if precision == "float32":
        torch.testing.assert_close(theirs.displacement, ours.displacement)
        torch.testing.assert_close(theirs.inverse, ours.inverse)
