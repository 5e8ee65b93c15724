"""Which networks offer what the library asks of a registration network."""

from __future__ import annotations

import pytest
import torch
from support.hyper_networks import JOINT
from support.tiny_networks import TINY
from VoxelMorphLib.networks.registrar import HyperRegistrar, Registrar, choose_regularisation, hyperparameter_count
from VoxelMorphLib.weights.architectures import ARCHITECTURES, build_network

SHAPE = [16, 16]
FEATURES = [8, 8]
SMALL_DETECTOR = {"ndims": 2, "enc_nf": FEATURES, "add_nf": FEATURES, "num_feat": 4}
ARGUMENTS = {
    "VxmCvpr2018": {"ndims": 2},
    "VxmMiccai2018": {"ndims": 2},
    "InstanceDense": {"shape": SHAPE},
    "TemplateCreation": {"shape": SHAPE, "features": TINY},
    "ConditionalTemplateCreation": {"shape": SHAPE, "features": TINY, "generator_features": 4},
    "VxmAffineFeatureDetector": SMALL_DETECTOR,
    "HyperVxmJoint": JOINT,
    "VxmAffine": {"shape": SHAPE},
    "LegacyTemplateCreation": {"shape": SHAPE},
    "LegacyConditionalTemplateCreation": {"shape": SHAPE},
}


def build(name: str) -> torch.nn.Module:
    return build_network(name, ARGUMENTS.get(name, {"ndims": 2, "features": TINY}))


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"Unet", "VxmStructureDetector", "VxmBorderDetector"}))
def test_every_network_that_registers_is_a_registrar(name):
    network = build(name)
    assert isinstance(network, Registrar)
    assert isinstance(network.multiple, int) and isinstance(network.diffeomorphic, bool)
    assert isinstance(network, HyperRegistrar) == (hyperparameter_count(network) > 0) == name.startswith("Hyper")


def test_an_encoder_decoder_and_a_detector_of_structures_are_none_alone():
    assert not isinstance(build("Unet"), Registrar)
    assert not isinstance(build_network("VxmStructureDetector", {"structures": [[1]]}), Registrar)


def test_a_value_is_chosen_for_all_hyperparameters():
    network = build_network("HyperVxmJoint", {**JOINT, "hyp_num": 2})
    choose_regularisation(network, 0.25)
    assert network.chosen == [0.25, 0.25]


def test_a_network_for_one_choice_stays_as_it_is():
    plain = build("HyperVxmJoint").specialise(0.5)
    choose_regularisation(plain, 0.25)
    assert isinstance(plain, HyperRegistrar) and hyperparameter_count(plain) == 0
    assert len(plain.chosen) == 0
