"""Networks from Keras files: the architecture found, the weights converted, what cannot be run refused."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
import torch
from support.keras_files import DENSE_CONFIG, dense_layers, legacy_layers, write_keras
from support.shared_data import weights_folder
from support.tiny_networks import TINY, a_cvpr, a_dense, a_miccai, a_pair, as_original
from VoxelMorphLib.core.errors import ConfigError, WeightsError
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.weights.keras import find_architecture, network_from_keras
from VoxelMorphLib.weights.keras_file import read_keras


def graph(*layers: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """The configuration of a model of 2018: (class, name, configuration) of its layers."""
    return {"layers": [{"class_name": kind, "name": name, "config": config} for kind, name, config in layers]}


def same_weights(network: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("ndims", [1, 2, 3])
def test_a_full_model_is_built_from_its_configuration(tmp_path, ndims):
    network = a_dense(ndims, int_steps=5, svf_resolution=2, bidir=True, use_probs=True)
    config = {**DENSE_CONFIG, "inshape": [16] * ndims, "int_steps": 5, "svf_resolution": 2, "bidir": True}
    path = write_keras(tmp_path / "a.h5", dense_layers(network), "VxmDense", {**config, "use_probs": True})
    found = network_from_keras(path)
    assert isinstance(found, VxmDense)
    assert same_weights(found, network)
    assert (found.int_steps, found.svf_resolution, found.bidir, found.training) == (5, 2, True, False)


@pytest.mark.parametrize("skips", [0, 1, 2])
@pytest.mark.parametrize("use_probs", [False, True])
def test_weights_alone_tell_the_architecture(tmp_path, skips, use_probs):
    network = a_dense(2, svf_resolution=2**skips, use_probs=use_probs, features=((4, 6), (7, 8, 5)))
    path = write_keras(tmp_path / "a.h5", dense_layers(network))
    found = network_from_keras(path)
    assert same_weights(found, network)
    assert found.svf_resolution == 2**skips


def test_weights_alone_tell_the_convolutions_per_level(tmp_path):
    network = a_dense(2, features=((4, 5, 6, 7), (8, 7, 6, 5, 4, 3)), conv_per_level=2)
    assert same_weights(network_from_keras(write_keras(tmp_path / "a.h5", dense_layers(network))), network)


def test_deprecated_options_keep_their_meaning(tmp_path):
    network = a_dense(2, svf_resolution=2, int_resolution=4)
    config = {**DENSE_CONFIG, "unet_half_res": True, "int_downsize": 4}
    found = network_from_keras(write_keras(tmp_path / "a.h5", dense_layers(network), "VxmDense", config))
    assert (found.svf_resolution, found.int_resolution) == (2, 4)


def test_options_replace_what_the_file_says(tmp_path):
    path = write_keras(tmp_path / "a.h5", dense_layers(a_dense(2)), "VxmDense", DENSE_CONFIG)
    assert network_from_keras(path, int_steps=3).int_steps == 3


def test_a_generator_in_front_of_the_network_is_left_out(tmp_path):
    """SynthMorph files store the image generator of their training as `input_model`, and its weightless layers."""
    features = [[6] * 4, [6] * 6]
    network = a_dense(3, features=features, svf_resolution=2, int_steps=5)
    generator = {
        "class_name": "Functional",
        "config": {"layers": [{"class_name": "Lambda", "config": {"x": "\u0000"}}]},
    }
    config = {
        **DENSE_CONFIG,
        "inshape": [160, 160, 192],
        "nb_unet_features": features,
        "int_steps": 5,
        "unet_half_res": True,
        "int_downsize": 2,
        "input_model": generator,
    }
    weightless = ["input_1", "lambda_3", "vec_int", "rescale_transform"]
    path = write_keras(tmp_path / "a.h5", dense_layers(network), "VxmDense", config, weightless)
    assert same_weights(network_from_keras(path), network)


@pytest.mark.parametrize("build", [a_cvpr, a_miccai], ids=["cvpr", "miccai"])
@pytest.mark.parametrize("class_name", ["Model", None])
def test_networks_of_2018_are_known_by_their_layers(tmp_path, build, class_name):
    network = build(2)
    path = write_keras(tmp_path / "a.h5", legacy_layers(network), class_name, graph())
    found = network_from_keras(path)
    assert type(found) is type(network)
    assert same_weights(found, network)


@pytest.mark.parametrize(
    ("indexing", "config"),
    [
        ("xy", graph()),
        (None, graph(("Dense3DSpatialTransformer", "dense3d_1", {}))),
        (None, graph(("SpatialTransformer", "spatial_transformer_1", {"indexing": "xy"}))),
    ],
)
def test_cartesian_displacements_change_to_the_order_of_the_axes(tmp_path, indexing, config):
    network = a_cvpr(3)
    found = network_from_keras(write_keras(tmp_path / "a.h5", legacy_layers(network), "Model", config), indexing)
    order = [1, 0, 2]
    assert torch.equal(found.flow.weight, network.flow.weight[order])
    assert torch.equal(found.flow.bias, network.flow.bias[order])
    assert torch.equal(found.unet.decoder[0].convolution.weight, network.unet.decoder[0].convolution.weight)


def test_a_velocity_without_scaling_is_scaled(tmp_path):
    """The first MICCAI network integrated by seven additions without halving the velocity seven times before."""
    network = a_miccai(2)
    config = graph(*[("Add", f"add_{i}", {}) for i in range(7)])
    found = network_from_keras(write_keras(tmp_path / "a.h5", legacy_layers(network), "Model", config))
    assert found.int_steps == 7
    assert torch.allclose(found.flow.weight, 128 * network.flow.weight)
    assert torch.allclose(found.logvar.bias, network.logvar.bias + 2 * log(128))
    assert torch.equal(found.logvar.weight, network.logvar.weight)


def test_a_file_of_the_first_code_registers_as_its_network_does(tmp_path):
    """What the original mode trains has the layout of the files of 2018."""
    network = as_original(a_miccai(3))
    config = graph(("Dense3DSpatialTransformer", "dense3d_1", {}), *[("Add", f"add_{i}", {}) for i in range(7)])
    found = network_from_keras(write_keras(tmp_path / "a.h5", legacy_layers(network), "Model", config))
    assert (found.original, network.original) == (False, True)
    pair = a_pair((16, 16, 32))
    with torch.no_grad():
        a, b = found.fields(*pair), network.fields(*pair)
    torch.testing.assert_close(a.displacement, b.displacement, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a.velocity, b.velocity, atol=1e-4, rtol=1e-4)
    assert a.displacement.abs().max() > 0.1


def test_a_graph_with_a_negation_has_two_directions(tmp_path):
    config = graph(("Negate", "negate_1", {}))
    found = network_from_keras(write_keras(tmp_path / "a.h5", legacy_layers(a_miccai(2)), "Model", config))
    assert found.bidir


@pytest.mark.parametrize("name", ["vxm_dense_brain_T1_3D_mse", "cvpr2018_vm1_cc", "miccai2018_10_02_init1"])
def test_published_files_hold_the_published_architecture(name):
    path = weights_folder() / f"{name}.h5"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    expected = {
        "vxm_dense_brain_T1_3D_mse": ("VxmDense", 2, 313_507),
        "cvpr2018_vm1_cc": ("VxmCvpr2018", 1, 259_675),
        "miccai2018_10_02_init1": ("VxmMiccai2018", 2, 266_374),
    }
    network = network_from_keras(path)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert (type(network).__name__, network.svf_resolution, count) == expected[name]


def test_a_bare_unet_is_described(tmp_path):
    layers = {key: value for key, value in dense_layers(a_dense(2), "x").items() if "unet" in key}
    found = find_architecture(read_keras(write_keras(tmp_path / "a.h5", layers)))
    expected = {"ndims": 2, "in_channels": 2, "features": [list(part) for part in TINY], "conv_per_level": 1}
    assert (found.name, found.arguments) == ("Unet", {**expected, "upsample_skips": 0, "residual": False})
    assert next(iter(found.modules)) == "encoder.0.0.convolution"


def without(layers: dict, name: str) -> dict:
    return {key: value for key, value in layers.items() if name not in key}


DENSE, CVPR = dense_layers(a_dense(2)), legacy_layers(a_cvpr(2))
KERNEL = {"kernel": np.zeros((3, 3, 2, 4), np.float32), "bias": np.zeros(4, np.float32)}

NAN_FLOW = {"kernel": np.full((3, 3, 4, 2), np.nan), "bias": np.zeros(2)}
NOT_STRIDED = graph(("Conv2D", "conv2d_31", {"strides": [1, 1]}))


def dense_file(**changes) -> tuple[dict, str, dict]:
    """A full model whose configuration says something else."""
    return DENSE, "VxmDense", {**DENSE_CONFIG, **changes}


REFUSED = {
    "foreign layer": (({**DENSE, "attention": KERNEL}, "VxmDense", DENSE_CONFIG), "not part of a U-net .attention."),
    "dense layer": (({**DENSE, "dense": {"kernel": np.zeros((3, 3))}},), "that are no convolutions .dense."),
    "missing layer": ((without(DENSE, "enc_conv_1"), "VxmDense", DENSE_CONFIG), "lacks layers of its U-net: 1 encoder"),
    "missing flow": ((without(DENSE, "flow"), "VxmDense", DENSE_CONFIG), "does not hold a VxmDense network"),
    "missing final": ((without(DENSE, "final"), "VxmDense", DENSE_CONFIG), "does not hold a VxmDense network"),
    "other shape": (dense_file(src_feats=2), r"has the shape \(4, 2, 3, 3\) instead of"),
    "other axes": (dense_file(inshape=[16, 16, 16]), r"has the shape \(4, 2, 3, 3\) instead of"),
    "unknown option": (dense_file(dropout=0.5), "unknown options .dropout."),
    "no shape": (dense_file(inshape=None), "unknown options .inshape."),
    "wrong option": (dense_file(int_steps="7"), "int_steps is '7'"),
    "huge option": (dense_file(nb_unet_features=[[10**9], [1]]), "numbers beyond 4096"),
    "wrong features": (dense_file(nb_unet_features=[["a"], ["b"]]), "not two lists"),
    "hypernetwork": (dense_file(hyp_model={}), "with hyperparameters"),
    "other class": ((DENSE, "VxmDenseSynth", DENSE_CONFIG), "holds a VxmDenseSynth, which this version cannot run"),
    "other network": (
        (without(CVPR, "flow"), "Model", graph()),
        "holds no network of this version; its layers are",
    ),
    "other name": (({**CVPR, "affine": KERNEL}, "Model", graph()), "holds no network of this version"),
    "too few": ((dict(list(CVPR.items())[4:]), "Model", graph()), "cannot be built"),
    "not strided": ((CVPR, "Model", NOT_STRIDED), r"strides \[1, 1\] instead of 2"),
    "not finite": (({**DENSE, "vxm_dense_flow": NAN_FLOW},), "holds NaN or infinite numbers"),
}


@pytest.mark.parametrize(("content", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_run_is_refused(tmp_path, content, text):
    path = write_keras(tmp_path / "a.h5", *content)
    with pytest.raises(WeightsError, match=text):
        network_from_keras(path)


def test_an_unknown_order_of_components_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="indexing is 'yx'; choose one of ij, xy"):
        network_from_keras(tmp_path / "a.h5", indexing="yx")
