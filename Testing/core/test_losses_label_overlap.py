"""The overlap of moved label maps, counted corner by corner."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.losses.anatomy import soft_dice
from VoxelMorphLib.core.losses.label_overlap import moved_label_overlap
from VoxelMorphLib.core.spatial import warp


def members(labels: torch.Tensor, count: int) -> torch.Tensor:
    return torch.cat([labels == label for label in range(1, count + 1)], 1).double()


@pytest.mark.parametrize("shape", [(9, 12), (7, 8, 6)])
def test_it_is_the_dice_of_warped_memberships_with_its_gradient(shape):
    torch.manual_seed(0)
    fixed, moving = (torch.randint(0, 4, (2, 1, *shape)) for _ in range(2))
    displacement = (4 * torch.randn(2, len(shape), *shape)).double().requires_grad_()
    overlap, occurs = moved_label_overlap(fixed, moving, displacement, 5)
    again = displacement.detach().clone().requires_grad_()
    expected, expected_occurs = soft_dice(members(fixed, 5), warp(members(moving, 5), again))
    torch.testing.assert_close(overlap, expected)
    assert torch.equal(occurs, expected_occurs) and not occurs[:, 3:].any()
    weights = torch.rand(2, 5, dtype=torch.float64)
    (overlap * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(displacement.grad, again.grad)


def test_maps_of_another_shape_are_refused():
    labels = torch.ones(1, 1, 4, 4, dtype=torch.int64)
    with pytest.raises(GeometryError, match="do not fit a displacement"):
        moved_label_overlap(labels, labels, torch.zeros(1, 2, 4, 5), 1)
