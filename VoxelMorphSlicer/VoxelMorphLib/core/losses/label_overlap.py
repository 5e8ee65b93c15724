"""Overlap of a label map with a moved one, whose cost does not grow with the number of labels."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from ..errors import GeometryError
from ..full_precision import at_least_float32


def moved_label_overlap(fixed: Tensor, moving: Tensor, displacement: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`soft_dice` of memberships, the moving ones warped linearly, without making a channel for each label.

    Every voxel of the result is made of the 2^N voxels around the place that it is taken from. Their weights are added
    up by label.

    Args:
        fixed: (B, 1, *shape), int64, places of labels from 1 to `count`; 0 counts for nothing.
        moving: (B, 1, *shape), int64, the same.
        displacement: (B, N, *shape), voxels; border values continue outside. The gradient flows into it.
        count: of the labels.

    Returns:
        overlap (B, count), 0 for a label that occurs in neither; and whether it occurs, (B, count) bool.

    Raises:
        GeometryError: shapes differ.
    """
    shape, items = tuple(displacement.shape[2:]), len(displacement)
    if any(tuple(map_.shape) != (items, 1, *shape) for map_ in (fixed, moving)):
        raise GeometryError(
            f"Label maps (B, 1, *shape) of {tuple(fixed.shape)} and {tuple(moving.shape)} do not fit a displacement "
            f"(B, N, *shape) of {tuple(displacement.shape)}."
        )
    displacement = at_least_float32(displacement)
    lower, part = _places(displacement)
    offset = torch.arange(items, device=fixed.device).view(-1, *(1 for _ in shape)) * (count + 1)
    still = fixed[:, 0] + offset
    labels = moving.flatten()
    first = torch.arange(items, device=fixed.device).view(-1, *(1 for _ in shape)) * shape_size(shape)
    size = items * (count + 1)
    moved, shared = (displacement.new_zeros(size) for _ in range(2))
    for corner in product((0, 1), repeat=len(shape)):
        index, weight = first, torch.ones_like(part[0])
        stride = shape_size(shape)
        for axis, up in enumerate(corner):
            stride //= shape[axis]
            place = (lower[axis] + up).clamp(max=shape[axis] - 1)
            index = index + place * stride
            share = part[axis] if up else 1 - part[axis]
            weight = weight * share
        found = labels[index] + offset
        moved = moved.index_add(0, found.flatten(), weight.flatten())
        agreed = torch.where(found == still, found, 0)  # others go to the first background, which counts for nothing
        shared = shared.index_add(0, agreed.flatten(), weight.flatten())
    total = moved + torch.bincount(still.flatten(), minlength=size)
    shared, total = (value.view(items, count + 1)[:, 1:] for value in (shared, total))
    occurs = total > 0
    return 2 * shared / torch.where(occurs, total, torch.ones_like(total)), occurs


def shape_size(shape: tuple[int, ...]) -> int:
    """Voxels of a grid."""
    return torch.Size(shape).numel()


def _places(displacement: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """For each axis the voxel below the place that every voxel is taken from, and the part of a voxel above it."""
    lower, part = [], []
    for axis, extent in enumerate(displacement.shape[2:]):
        voxels = torch.arange(extent, device=displacement.device, dtype=displacement.dtype)
        place = displacement[:, axis] + voxels.view(-1, *(1 for _ in displacement.shape[3 + axis :]))
        place = place.clamp(0, extent - 1)
        below = place.detach().floor().clamp(max=max(extent - 2, 0))
        lower.append(below.long())
        part.append(place - below)
    return lower, part
