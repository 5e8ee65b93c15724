"""Padding to a multiple and cropping back, and padding as TensorFlow does it."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.networks.padding import crop, pad_same, pad_to_multiple, padded_shape, same_padding


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


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "expected"),
    [(8, 3, 1, (1, 1)), (8, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (8, 2, 1, (0, 1)), (8, 1, 2, (0, 0)), (9, 5, 3, (1, 1))],
)
def test_widths(extent, kernel, stride, expected):
    assert same_padding(extent, kernel, stride) == expected


@pytest.mark.parametrize("extent", range(1, 12))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_as_many_outputs_as_the_rounded_up_quotient(extent, kernel, stride):
    padded = extent + sum(same_padding(extent, kernel, stride))
    assert (padded - kernel) // stride + 1 == -(-extent // stride)


def test_every_axis_is_padded_for_its_own_extent():
    padded = pad_same(torch.ones(1, 2, 8, 7), (3, 3), 2)
    assert padded.shape == (1, 2, 9, 9)
    assert padded[0, 0, 0].sum() == 7 and padded[0, 0, -1].sum() == 0
    assert padded[0, 0, :, 0].sum() == 0 and padded[0, 0, :, -1].sum() == 0
