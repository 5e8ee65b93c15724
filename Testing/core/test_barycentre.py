"""Barycentres: known places, empty channels, gradients."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.barycentre import barycentre


def a_point(shape, place, weight=1.0) -> torch.Tensor:
    image = torch.zeros(1, 1, *shape)
    image[(0, 0, *place)] = weight
    return image


@pytest.mark.parametrize(("shape", "place"), [((9,), (4,)), ((6, 9), (2, 7)), ((6, 9, 5), (5, 0, 3))])
def test_a_single_voxel_is_its_own_barycentre(shape, place):
    image = a_point(shape, place, 0.3)
    torch.testing.assert_close(barycentre(image).flatten(), torch.tensor(place, dtype=torch.float32))
    centred = [p - (n - 1) / 2 for p, n in zip(place, shape)]
    torch.testing.assert_close(barycentre(image, shift_center=True).flatten(), torch.tensor(centred))
    fraction = [c / n for c, n in zip(centred, shape)]
    torch.testing.assert_close(barycentre(image, True, True).flatten(), torch.tensor(fraction))


def test_weights_balance():
    image = a_point((11, 4), (0, 1), 1.0) + a_point((11, 4), (10, 1), 3.0)
    torch.testing.assert_close(barycentre(image).flatten(), torch.tensor([7.5, 1.0]))


def test_channels_are_separate_and_an_empty_one_gives_zero():
    image = torch.cat([a_point((6, 9), (2, 7)), torch.zeros(1, 1, 6, 9)], dim=1)
    assert barycentre(image).tolist() == [[[2.0, 7.0], [0.0, 0.0]]]


def test_gradients_agree_with_finite_differences():
    image = torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(barycentre, (image,))
