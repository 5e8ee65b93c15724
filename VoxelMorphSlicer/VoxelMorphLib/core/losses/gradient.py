"""Penalty on the spatial differences of a field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings, check_choice
from ..precision import in_float32
from .reduction import reduce_map

PENALTIES = ("l1", "l2")


@in_float32
def gradient_penalty(
    field: Tensor,
    penalty: str = "l2",
    multiplier: float = 1.0,
    voxel_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean absolute ("l1") or squared ("l2") difference of neighbouring voxels, averaged over the axes.

    Args:
        field: (B, C, *shape), a velocity or displacement in voxels.
        penalty: "l1" or "l2".
        multiplier: factor of the result; the original uses the ratio between image and field grid.
        voxel_weights: (B or 1, C or 1, *shape), factor of the difference between a voxel and the one before it.
        reduction: "mean" over the batch or "item" (B,).

    Raises:
        ConfigError: another penalty or reduction.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, equation 7.
    """
    check_choice("penalty", penalty, PENALTIES)
    check_choice("reduction", reduction, ("mean", "item"))
    axes = range(2, field.ndim)
    total = sum(_axis_penalty(field, axis, penalty, voxel_weights) for axis in axes)
    return reduce_map(total[:, None] * (multiplier / len(axes)), reduction)


@dataclass(frozen=True)
class Gradient(Settings):
    """`gradient_penalty` with its options bound."""

    penalty: str = "l2"
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_choice("penalty", self.penalty, PENALTIES)

    def __call__(self, field: Tensor, voxel_weights: Tensor | None = None) -> Tensor:
        return gradient_penalty(field, self.penalty, self.multiplier, voxel_weights)


def _axis_penalty(field: Tensor, axis: int, penalty: str, voxel_weights: Tensor | None) -> Tensor:
    """(B,) mean over all differences along one axis; 0 for an axis of one voxel."""
    difference = torch.diff(field, dim=axis)
    if not difference.numel():
        return field.new_zeros(len(field))
    if voxel_weights is not None:
        difference = difference * voxel_weights.narrow(axis, 1, voxel_weights.shape[axis] - 1)
    size = difference.abs() if penalty == "l1" else difference.square()
    return size.flatten(1).mean(1)
