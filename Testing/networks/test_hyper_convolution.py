"""Convolution with kernels per item."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from VoxelMorphLib.networks.hyper_convolution import convolve_each


@pytest.mark.parametrize("shape", [(9,), (8, 7), (6, 5, 7)], ids=["1d", "2d", "3d"])
def test_every_item_is_convolved_with_its_own_kernels(shape):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 2, *shape, generator=generator)
    kernels = torch.randn(3, 4, 2, *[3] * len(shape), generator=generator)
    biases = torch.randn(3, 4, generator=generator)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(shape) - 1]
    result = convolve_each(features, kernels, biases)
    for item in range(3):
        expected = convolve(features[item : item + 1], kernels[item], biases[item], padding=1)
        torch.testing.assert_close(result[item : item + 1], expected, atol=1e-5, rtol=1e-5)
    without = convolve_each(features, kernels) + biases.view(3, 4, *[1] * len(shape))
    torch.testing.assert_close(without, result, atol=1e-5, rtol=1e-5)
