"""Padding to a multiple and cropping back."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.networks.padding import crop, pad_to_multiple, padded_shape


@pytest.mark.parametrize("shape", [(5,), (5, 8), (1, 7, 9)])
def test_padding_repeats_the_last_voxels_and_cropping_takes_them_away(shape):
    image = torch.rand(2, 3, *shape)
    padded = pad_to_multiple(image, 4)
    assert padded.shape[2:] == padded_shape(shape, 4)
    assert torch.equal(crop(padded, shape), image)
    assert torch.equal(padded[..., -1], padded[..., shape[-1] - 1])


def test_images_that_fit_are_not_copied():
    image = torch.rand(1, 1, 8, 4)
    assert pad_to_multiple(image, 4) is image
    assert crop(image, (8, 4)) is image
