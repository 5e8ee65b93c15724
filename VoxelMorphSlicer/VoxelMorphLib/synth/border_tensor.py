"""Where the parts of a label map border on each other, and which way: what a network is to find in any image of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..core.arrays import bounding_box
from ..core.filters import gaussian, gaussian_kernel
from ..core.tensors import as_array
from .label_tables import one_hot

#: Standard deviation, voxels, of what parts are smoothed by before their slopes are taken.
WIDTH = 1.0
#: Squared length of the tensors, about, by which their squared distance is divided.
TYPICAL = 0.05


def border_tensor(labels: Tensor, values: Sequence[int]) -> Tensor:
    """The sum over labels of the products of their slopes, divided by the root of its own length.

    The slopes of a label are those of its smoothed membership, so that both sides of a border have the same tensor,
    whichever labels they have; its length is about the slope itself, 0 inside of the parts. Products of two axes count
    by the root of 2, so that distances between tensors do not depend on how the axes lie.

    Args:
        labels: (B, 1, *shape).
        values: labels whose borders count.

    Returns:
        (B, N (N + 1) / 2, *shape), float32: the products of every axis with itself, then of pairs of axes.
    """
    ndims = labels.ndim - 2
    products = [(axis, axis, 1.0) for axis in range(ndims)]
    products += [(a, b, 2**0.5) for a in range(ndims) for b in range(a + 1, ndims)]
    total = torch.zeros(len(labels), len(products), *labels.shape[2:], device=labels.device)
    for value in values:
        member = one_hot(labels, [value])
        if not member.any():
            continue
        around = (..., *_surroundings(member))
        member = gaussian(member[around], WIDTH, padding="border")
        slopes = [_slope(member, axis) for axis in range(ndims)]
        for number, (a, b, weight) in enumerate(products):
            total[:, number : number + 1][around].addcmul_(slopes[a], slopes[b], value=weight)
    return total / total.norm(dim=1, keepdim=True).clamp(min=1e-6).sqrt()


def border_loss(found: Tensor, borders: Tensor) -> Tensor:
    """Mean squared distance of tensors (B, N (N + 1) / 2, *shape) from true ones; about 1 where nothing is found."""
    return (found - borders).square().sum(1).mean() / TYPICAL


def _surroundings(member: Tensor) -> list[slice]:
    """Where the slopes of a membership are not 0, per axis: most parts are small, which saves most of the time."""
    reach = len(gaussian_kernel(WIDTH)) // 2 + 1
    box = bounding_box(as_array(member.amax(dim=(0, 1))) > 0)
    return [slice(max(side.start - reach, 0), side.stop + reach) for side in box]


def _slope(member: Tensor, axis: int) -> Tensor:
    """Central differences along an axis of (B, 1, *shape); at the ends as if the outermost voxel stood there twice."""
    ends = [0, 0] * (member.ndim - 3 - axis) + [1, 1] + [0, 0] * axis
    extent = member.shape[axis + 2]
    padded = functional.pad(member, ends, mode="replicate")
    return (padded.narrow(axis + 2, 2, extent) - padded.narrow(axis + 2, 0, extent)) / 2
