"""Tensors of the borders of label maps: length, direction, and what they do not depend on."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.synth.border_tensor import border_loss, border_tensor

PRODUCTS = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]


def halves(axis: int, extent: int = 12) -> torch.Tensor:
    """A map (1, 1, ...) whose label is 2 up to its middle along an axis, then 5."""
    place = torch.arange(extent) < extent // 2
    labels = torch.where(place, 2, 5).view([-1 if other == axis else 1 for other in range(3)])
    return labels.expand(extent, extent, extent)[None, None]


def matrices(tensor: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3, *shape)."""
    full = torch.zeros(len(tensor), 3, 3, *tensor.shape[2:])
    for number, (a, b) in enumerate(PRODUCTS):
        full[:, a, b] = full[:, b, a] = tensor[:, number] / (1 if a == b else 2**0.5)
    return full


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_shows_where_a_border_is_and_across_which_axis(axis):
    tensor = border_tensor(halves(axis), (2, 5))
    length = tensor.norm(dim=1)[0].movedim(axis, 0)[:, 6, 6]
    assert length.argmax() in (5, 6) and length[[0, 1, -1]].max() < 1e-3
    slope = 0.5 * 0.3989 * (1 + 0.6065)  # central difference of a Gaussian step of width 1, next to the border
    assert length.max().item() == pytest.approx(2**0.5 * slope, rel=0.1)
    torch.testing.assert_close(tensor[:, axis].abs(), tensor.norm(dim=1))


def test_the_labels_of_a_border_do_not_matter():
    labels = halves(0)
    swapped = torch.where(labels == 2, 5, 2)
    torch.testing.assert_close(border_tensor(labels, (2, 5)), border_tensor(swapped, (2, 5)))
    assert border_tensor(torch.full_like(labels, 7), (7,)).abs().max() == 0


def test_it_turns_with_the_map():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(1, 4, (1, 1, 4, 4, 4), generator=generator)
    labels = labels.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    turned = labels.transpose(2, 3).flip(2)  # by 90 degrees in the plane of the first two axes
    rotation = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    here = matrices(border_tensor(labels, (1, 2, 3)))
    expected = torch.einsum("ia,zabxyw,jb->zijxyw", rotation, here, rotation)
    expected = expected.transpose(3, 4).flip(3)
    torch.testing.assert_close(matrices(border_tensor(turned, (1, 2, 3))), expected, atol=1e-5, rtol=1e-5)


def test_planes_have_tensors_of_three_products():
    labels = halves(0)[..., 0]
    tensor = border_tensor(labels, (2, 5))
    assert tensor.shape == (1, 3, 12, 12) and tensor[:, 1:].abs().max() < 1e-6


def test_parts_beside_the_border_of_the_map_and_absent_ones_are_as_on_a_larger_map():
    generator = torch.Generator().manual_seed(1)
    inner = torch.randint(0, 5, (1, 1, 3, 3, 3), generator=generator).float()
    labels = torch.nn.functional.interpolate(inner, scale_factor=4)
    larger = torch.nn.functional.pad(labels, [6] * 6, mode="replicate")
    expected = border_tensor(larger, range(5))[..., 6:-6, 6:-6, 6:-6]
    torch.testing.assert_close(border_tensor(labels, range(7)), expected)
    assert border_tensor(torch.cat([labels, torch.zeros_like(labels)]), range(5))[1].abs().max() == 0


def test_the_loss_is_that_of_nothing_at_first_and_0_at_last():
    tensor = border_tensor(halves(0), (2, 5))
    assert border_loss(tensor, tensor) == 0
    assert border_loss(torch.zeros_like(tensor), tensor) == pytest.approx(float(tensor.square().sum(1).mean() / 0.05))
