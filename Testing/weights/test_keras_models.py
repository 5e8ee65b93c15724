"""Keras files of the networks around VxmDense: arguments in our words, foreign and hostile content refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.keras_files import DENSE_CONFIG, dense_layers, keras_arrays, write_keras
from support.tiny_networks import TINY, a_dense, filled
from VoxelMorphLib.core.errors import WeightsError
from VoxelMorphLib.networks.atlas_segmentation import ProbAtlasSegmentation
from VoxelMorphLib.networks.semi_supervised import VxmDenseSemiSupervisedSeg
from VoxelMorphLib.weights.keras import find_architecture, network_from_keras
from VoxelMorphLib.weights.keras_file import read_keras
from VoxelMorphLib.weights.load import load_network

FEATURES = [list(part) for part in TINY]
DENSE = dense_layers(a_dense(2))
SHAPED = {"inshape": [16, 12], "nb_unet_features": FEATURES}


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def hyper_layers(units: int = 3, numbers: int = 3 * 3 * 2 * 4) -> dict:
    """The first layers of a HyperVxmDense; `numbers` of the kernel's own."""
    kernels = {"hyperkernel_kernel": zeros(units, numbers), "hyperkernel_bias": zeros(numbers)}
    biases = {"hyperbias_kernel": zeros(units, 4), "hyperbias_bias": zeros(4)}
    return {
        "hyper_vxm_dense_hyp_dense_1": {"kernel": zeros(1, units), "bias": zeros(units)},
        "hyper_vxm_dense_unet_enc_conv_0_0": {**kernels, **biases},
    }


def generator_layers(outputs: int = 16 * 12 * 4) -> dict:
    return {
        **DENSE,
        "dense_1": {"kernel": zeros(2, outputs), "bias": zeros(outputs)},
        "atlas_decoder_likelihood": {"kernel": zeros(1, 1, 4, 4), "bias": zeros(4)},
        "atlas_gen": {"kernel": zeros(3, 3, 4, 1), "bias": zeros(1)},
    }


GENERATED = {
    **SHAPED,
    "pheno_input_shape": [2],
    "conv_nb_features": 4,
    "extra_conv_layers": 0,
    "use_mean_stream": False,
}


def test_a_file_that_keeps_an_image_is_fed_on_its_grid(tmp_path):
    layers = {"local_param_with_input": {"kernel": zeros(8, 6, 4, 3)}}
    found, entry = load_network(write_keras(tmp_path / "a.h5", layers, "InstanceDense", {"inshape": [16, 12, 8]}))
    assert entry.space.shape == found.image_shape == (16, 12, 8)


@pytest.mark.parametrize("gaussian", [True, False])
def test_a_segmentation_with_an_atlas_is_read(tmp_path, gaussian):
    network = filled(ProbAtlasSegmentation(2, 3, features=TINY, gaussian=gaussian, stat_features=5))
    layers = dense_layers(network)
    layers.update({f"conv2d_{i + 7}": keras_arrays(module) for i, module in enumerate(network.stats)})
    if gaussian:
        layers["mu_vol"] = keras_arrays(network.mean_head)
        layers["logsigmasq_vol"] = keras_arrays(network.log_variance_head)
    else:
        layers["conv2d_9"] = keras_arrays(network.likelihood)
    config = {**SHAPED, "nb_labels": 3, "stat_nb_feats": 5, "gaussian_likelihood": gaussian, "stat_post_warp": False}
    known = {"init_mu": [0.1, 0.5, 0.9], "init_sigma": [0.1, 0.1, 0.2], "network_stat_weight": 0.01}
    path = write_keras(tmp_path / "a.h5", layers, "ProbAtlasSegmentation", {**config, **(known if gaussian else {})})
    found = network_from_keras(path)
    ours, theirs = network.state_dict(), found.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    if gaussian:
        assert found.known_means == [0.1, 0.5, 0.9] and found.stat_weight == 0.01


def test_deprecated_and_implied_options_keep_their_meaning(tmp_path):
    config = {**DENSE_CONFIG, "nb_labels": 3, "seg_resolution": 2, "seg_downsize": 4, "bidir_labels": True}
    found = network_from_keras(write_keras(tmp_path / "a.h5", DENSE, "VxmDenseSemiSupervisedSeg", config))
    assert isinstance(found, VxmDenseSemiSupervisedSeg)
    assert found.label_resolution == 4 and found.bidir


def test_the_layers_of_a_hypernetwork_are_numbered(tmp_path):
    layers = {**hyper_layers(), "hyper_vxm_dense_flow": DENSE["vxm_dense_flow"]}
    path = write_keras(tmp_path / "a.h5", layers, "HyperVxmDense", {**SHAPED, "nb_hyp_layers": 1, "nb_hyp_units": 3})
    found = find_architecture(read_keras(path))
    assert set(found.modules) == {"unet.hidden.0", "unet.generated.0", "flow"}
    assert found.arguments == {"ndims": 2, "features": FEATURES, "hyper_layers": 1, "hyper_units": 3}


def test_a_conditional_template_starts_without_base(tmp_path):
    path = write_keras(tmp_path / "a.h5", generator_layers(), "ConditionalTemplateCreation", GENERATED)
    network = network_from_keras(path)
    assert network.base.shape == (1, 16, 12) and not network.base.any()


INSTANCE = {"local_param_with_input": {"kernel": zeros(8, 6, 2)}}
TWO_INSTANCES = {**INSTANCE, "local_param_with_input_1": {"kernel": zeros(8, 6, 2)}}
TEMPLATE = {**DENSE, "atlas": {"kernel": zeros(16, 12, 1)}}
MEAN = {"mean_stream": {"mean": zeros(16, 12, 2), "count": zeros(1)}}
HYPER = {**SHAPED, "nb_hyp_layers": 1, "nb_hyp_units": 3}

REFUSED = {
    "foreign layer": ({**TEMPLATE, "attention": DENSE["vxm_dense_flow"]}, "TemplateCreation", SHAPED, "is foreign to"),
    "other layer": ({**INSTANCE, **MEAN}, "InstanceDense", {"inshape": [16, 12]}, "2 are foreign"),
    "two of a kind": (
        {**INSTANCE, "local_param_with_input_1": {"kernel": zeros(1)}},
        "InstanceDense",
        SHAPED,
        "is foreign",
    ),
    "no mean": (TEMPLATE, "TemplateCreation", SHAPED, "2 layers are missing"),
    "no count": ({**TEMPLATE, "mean_stream": {"mean": zeros(16, 12, 2)}}, "TemplateCreation", SHAPED, "mean_stream"),
    "no shape": (INSTANCE, "InstanceDense", {}, "unknown options .inshape."),
    "huge shape": (INSTANCE, "InstanceDense", {"inshape": [4096] * 3}, "which is no image"),
    "odd shape": (INSTANCE, "InstanceDense", {"inshape": ["a", 2]}, "which is no image"),
    "other shape": (INSTANCE, "InstanceDense", {"inshape": [32, 12]}, "instead of"),
    "unknown option": (INSTANCE, "InstanceDense", {"inshape": [16, 12], "warp": 1}, "unknown options .warp."),
    "wrong option": (INSTANCE, "InstanceDense", {"inshape": [16, 12], "int_steps": "7"}, "int_steps is '7'"),
    "other kernel": (hyper_layers(numbers=71), "HyperVxmDense", HYPER, "holds no HyperVxmDense network"),
    "missing layers": (hyper_layers(), "HyperVxmDense", HYPER, "layers are missing"),
    "wrong units": (hyper_layers(), "HyperVxmDense", {**HYPER, "nb_hyp_units": "many"}, "cannot be built"),
    "other dense": (generator_layers(7), "ConditionalTemplateCreation", GENERATED, "dense_1"),
    "segmentations": (
        generator_layers(),
        "ConditionalTemplateCreation",
        {**GENERATED, "templcondsi": True},
        "this version cannot",
    ),
    "images": (
        generator_layers(),
        "ConditionalTemplateCreation",
        {**GENERATED, "pheno_input_shape": [2, 2]},
        "this version cannot",
    ),
    "other start": (
        generator_layers(),
        "ConditionalTemplateCreation",
        {**GENERATED, "conv_image_shape": [8, 6, 4]},
        r"this version needs \[16, 12, 4\]",
    ),
    "odd levels": (
        generator_layers(),
        "ConditionalTemplateCreation",
        {**GENERATED, "conv_nb_levels": "x"},
        "levels and features",
    ),
}


@pytest.mark.parametrize(("layers", "kind", "config", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_run_is_refused(tmp_path, layers, kind, config, text):
    path = write_keras(tmp_path / "a.h5", layers, kind, config)
    with pytest.raises(WeightsError, match=text):
        network_from_keras(path)
