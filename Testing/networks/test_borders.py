"""VxmBorderDetector: the tensor of the borders at every voxel of an image."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import filled
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.networks.borders import WEIGHT, VxmBorderDetector
from VoxelMorphLib.networks.registrar import FeatureDetector, Registrar
from VoxelMorphLib.weights.architectures import build_network

SMALL = {"features": [[4, 8], [8, 8, 4]], "conv_per_level": 1}


@pytest.mark.parametrize(("ndims", "shape", "channels"), [(2, (18, 13), 3), (3, (9, 12, 10), 6)])
def test_every_voxel_has_a_symmetric_tensor(ndims, shape, channels):
    network, image = filled(VxmBorderDetector(ndims=ndims, **SMALL)), torch.rand(2, 1, *shape)
    found = network(image)
    assert found.shape == (2, channels, *shape) and found.dtype == torch.float32
    torch.testing.assert_close(network.features(image), WEIGHT * found)


def test_each_image_is_looked_at_alone():
    network, images = filled(VxmBorderDetector(**SMALL)), torch.rand(2, 1, 8, 8, 8)
    torch.testing.assert_close(network(images)[1:], network(images[1:]))


def test_it_finds_features_and_registers_nothing_alone():
    network = build_network("VxmBorderDetector", SMALL)
    assert isinstance(network, FeatureDetector) and not isinstance(network, Registrar)
    assert network.multiple == 4 and network.peak_features >= 12


def test_other_images_and_features_are_refused():
    with pytest.raises(GeometryError, match=r"needs images \(B, 1, \*shape\) of 3 axes, got \(1, 2, 8, 8, 8\)"):
        VxmBorderDetector(**SMALL)(torch.rand(1, 2, 8, 8, 8))
    with pytest.raises(ConfigError, match="one number more of those on the way up"):
        VxmBorderDetector(features=[[4], [4]])
