"""Images of many channels as rows, one of a voxel each: to interpolate between them is fast at any list of places."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional


def rows_of(image: Tensor) -> Tensor:
    """(voxels, C) of an image (1, C, *shape), the last axis fastest; without a copy where that is its memory order."""
    return image[0].movedim(0, -1).reshape(-1, image.shape[1]).contiguous()


def rows_between(rows: Tensor, shape: Sequence[int], places: Tensor) -> Tensor:
    """Linear interpolation between rows, clamped at the border.

    Args:
        rows: (voxels, C), float32, see `rows_of`.
        shape: of the image.
        places: (N, P), coordinates in voxels, one row for each axis of the shape.

    Returns:
        (P, C).
    """
    corners, weights = _corners(shape, places)
    if rows.device.type == "cpu":
        return functional.embedding_bag(corners, rows, mode="sum", per_sample_weights=weights.T.contiguous())
    result = rows.new_zeros(places.shape[1], rows.shape[1])
    for corner, weight in zip(corners.unbind(1), weights):
        result.addcmul_(rows[corner], weight[:, None])
    return result


def _corners(shape: Sequence[int], places: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of the rows around every place, (P, corners), and their weights, (corners, P)."""
    first = places.new_zeros(places.shape[1], dtype=torch.int32)
    offsets, weights = first.new_zeros(1), places.new_ones(1, places.shape[1])
    for axis, (place, extent) in enumerate(zip(places, shape)):
        stride = prod(shape[axis + 1 :])
        place = place.clamp(0, extent - 1)
        lower = place.floor().clamp_(max=max(extent - 2, 0))
        above = place.sub_(lower)
        first.add_(lower.to(torch.int32), alpha=stride)
        if extent > 1:  # an axis of a single voxel has no corner above it
            weights = torch.stack([weights * (1 - above), weights * above], 1).flatten(0, 1)
            offsets = (offsets[:, None] + offsets.new_tensor([0, stride])).flatten()
    return first[:, None] + offsets, weights
