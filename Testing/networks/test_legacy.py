"""The networks of 2018: their sizes, padding and resizing."""

from __future__ import annotations

import pytest
import torch
from support.tiny_networks import a_cvpr, a_miccai, a_pair, filled
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.resize import resize_displacement
from VoxelMorphLib.networks.legacy import StridedConvolution, StridedUnet, VxmCvpr2018, VxmMiccai2018


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (VxmCvpr2018(features="vm1"), 259_675),
        (VxmCvpr2018(features="vm2"), 300_547),
        (VxmCvpr2018(features="vm2double"), 1_195_523),
        (VxmMiccai2018(), 266_374),
    ],
    ids=["vm1", "vm2", "vm2double", "miccai"],
)
def test_the_number_of_weights_is_that_of_the_original(network, count):
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_only_the_miccai_network_integrates():
    assert not a_cvpr().diffeomorphic
    assert a_miccai().diffeomorphic


def test_the_miccai_network_resizes_as_in_2018():
    output = a_miccai(2)(*a_pair((32, 16)))
    assert output.integrated.shape[2:] == (16, 8)
    expected = resize_displacement(output.integrated, (32, 16), alignment="legacy")
    assert torch.allclose(output.displacement, expected)


@pytest.mark.parametrize(("extent", "first"), [(8, 0), (7, -1)])
def test_strides_start_where_tensorflow_starts(extent, first):
    """The first output of an even axis sees voxels 0 to 2, that of an odd axis one voxel of padding before."""
    block = StridedConvolution(1, 1, 1)
    block.convolution.weight.data = torch.tensor([[[1.0, 10.0, 100.0]]])
    values = torch.arange(1.0, extent + 1)
    taps = [values[i].item() if i >= 0 else 0.0 for i in range(first, first + 3)]
    result = block(values.view(1, 1, -1))
    assert result.shape[-1] == -(-extent // 2)
    assert result[0, 0, 0].item() == pytest.approx(taps[0] + 10 * taps[1] + 100 * taps[2])


@pytest.mark.parametrize("ndims", [1, 2, 3])
@pytest.mark.parametrize("full_size", [True, False])
def test_inference_gives_what_the_plain_steps_give(ndims, full_size):
    unet = filled(StridedUnet(ndims, 2, (2, 3, 4, 5), (5, 4, 4, 4, 3, 3, 2), full_size))
    image = torch.rand(2, 2, *(32, 16, 16)[:ndims])
    plain = unet(image)
    with torch.no_grad():
        assert torch.allclose(unet(image), plain, atol=1e-5)
    assert plain.shape[2] == (32 if full_size else 16)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: VxmCvpr2018(features="vm3"), "There is no network 'vm3' of 2018; choose one of vm1, vm2, vm2double"),
        (lambda: VxmCvpr2018(features=((2, 2, 2), (2, 2, 2, 2, 2, 2))), "4 encoder convolutions and 6 or 7 decoder"),
        (lambda: VxmMiccai2018(features=((2, 2, 2, 2), (2, 2))), "and 5 decoder convolutions"),
        (lambda: StridedUnet(4), "1, 2 or 3 axes, not on 4"),
    ],
)
def test_impossible_options_are_refused(build, text):
    with pytest.raises(ConfigError, match=text):
        build()


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(GeometryError, match="3 axes of a multiple of 16 voxels, got"):
        StridedUnet()(torch.zeros(1, 2, 16, 16, 24))
