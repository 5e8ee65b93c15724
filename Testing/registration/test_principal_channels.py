"""Images of many channels are compared by few mixtures of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from VoxelMorphLib.registration.principal_channels import principal_channels

SHAPE = (12, 10, 8)


def of_rank(rank: int, channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two images whose channels are mixtures of so many independent ones, each around a mean of its own."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, rank, generator=generator)
    parts = torch.randn(2, rank, *SHAPE, generator=generator)
    return tuple(torch.einsum("cr,r...->c...", mixing, part)[None] + 3.0 for part in parts)


def squared(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().sum(1)


def mixed_of(first: Tensor, second: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Of images that come in two parts."""
    return principal_channels(
        first.split([2, first.shape[1] - 2], 1), second.split([2, second.shape[1] - 2], 1), channels
    )


def test_few_mixtures_have_the_differences_of_all_channels_that_depend_on_each_other():
    first, second = of_rank(3, 9)
    mixed = mixed_of(first, second, 3)
    assert mixed[0].shape == (1, 3, *SHAPE)
    torch.testing.assert_close(squared(*mixed), squared(first, second), rtol=1e-3, atol=1e-3)


def test_what_is_left_out_has_the_least_of_the_differences():
    first, second = of_rank(9, 9)
    shares = [float((squared(*mixed_of(first, second, n)) / squared(first, second)).mean()) for n in (2, 5, 8)]
    assert shares == sorted(shares) and shares[0] > 2 / 9 + 0.1 and 0.9 < shares[2] < 1


def test_parts_are_mixed_as_if_they_were_one():
    first, second = of_rank(6, 9)
    together = principal_channels([first], [second], 4)
    torch.testing.assert_close(squared(*mixed_of(first, second, 4)), squared(*together), rtol=1e-3, atol=1e-3)


def test_swapped_images_are_mixed_alike():
    first, second = of_rank(6, 9)
    there, back = mixed_of(first, second, 4), mixed_of(second, first, 4)
    torch.testing.assert_close(squared(*there), squared(*back), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [9, 16])
def test_images_of_no_more_channels_stay_as_they_are(channels):
    images = of_rank(9, 9)
    assert all(map(torch.equal, mixed_of(*images, channels), images))


def test_images_without_contents_have_mixtures_too():
    mixed = mixed_of(torch.zeros(1, 5, *SHAPE), torch.zeros(1, 5, *SHAPE), 2)
    assert mixed[0].shape == (1, 2, *SHAPE) and not mixed[0].any() and not mixed[1].any()
