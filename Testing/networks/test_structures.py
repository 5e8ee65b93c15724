"""VxmStructureDetector: probabilities of structures, and the channels that are compared."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.structures import WEIGHT, VxmStructureDetector

STRUCTURES = [[2, 41], [3, 42], [16]]
SMALL = {"features": ((4, 6), (6, 4, 4)), "conv_per_level": 1}


def a_detector(**options) -> VxmStructureDetector:
    torch.manual_seed(0)
    return VxmStructureDetector(STRUCTURES, **{**SMALL, **options}).eval()


@pytest.mark.parametrize("shape", [(16, 12, 8), (13, 9, 7)])
def test_every_voxel_has_probabilities_of_all_structures(shape):
    network, image = a_detector(), torch.rand(2, 1, *shape)
    features = network.features(image)
    assert network(image).shape == (2, 4, *shape) and features.shape == (2, 3, *shape)
    assert features.min() >= 0 and features.sum(1).max() <= 1 + 1e-6
    torch.testing.assert_close(features, network(image).softmax(1)[:, 1:])


def test_a_channel_adds_up_its_structures():
    image = torch.rand(1, 1, 8, 8, 8)
    alone, together = (a_detector(channels=channels).features(image) for channels in ((), [[1, 3], [2]]))
    torch.testing.assert_close(together, torch.stack([alone[:, 0] + alone[:, 2], alone[:, 1]], 1))


def test_borders_stand_behind_the_structures():
    network, image = a_detector(borders=True), torch.rand(1, 1, 8, 8, 8)
    odds, tensors = network.parts(network(image))
    assert odds.shape[1] == 4 and tensors.shape[1] == 6 and network.feature_channels == 9
    features = network.features(image)
    torch.testing.assert_close(features, torch.cat([odds.softmax(1)[:, 1:], WEIGHT * tensors], 1))
    assert a_detector(borders=True, ndims=2).features(torch.rand(1, 1, 8, 8)).shape[1] == 3 + 3


def test_an_image_in_two_dimensions_is_taken():
    assert a_detector(ndims=2).features(torch.rand(1, 1, 12, 10)).shape == (1, 3, 12, 10)


def test_convolutions_are_counted_per_level():
    network = a_detector(conv_per_level=2)
    assert [block.convolution.out_channels for block in network.unet.blocks] == [4, 4, 6, 6, 6, 6, 4, 4, 4, 4, 4]
    assert network.multiple == 4 and network.peak_features > network.unet.peak_features


@pytest.mark.parametrize(
    ("structures", "options", "sentence"),
    [
        ([], {}, "have no labels, or some twice or below 1"),
        ([[2], []], {}, "have no labels, or some twice or below 1"),
        ([[2], [2, 3]], {}, "have no labels, or some twice or below 1"),
        ([[0]], {}, "have no labels, or some twice or below 1"),
        (STRUCTURES, {"channels": [[4]]}, "do not name structures from 1 to 3"),
        (STRUCTURES, {"channels": [[]]}, "do not name structures from 1 to 3"),
        (STRUCTURES, {"features": ((4, 6), (6, 4))}, "one number more of those on the way up"),
    ],
)
def test_impossible_detectors_are_refused(structures, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        VxmStructureDetector(structures, **options)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8, 8), (1, 1, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(GeometryError, match=r"needs images \(B, 1, \*shape\) of 3 axes"):
        a_detector()(torch.rand(shape))
