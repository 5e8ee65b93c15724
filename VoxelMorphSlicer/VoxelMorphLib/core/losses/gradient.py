"""Penalty on the spatial differences of a field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    items = _DifferencePenalty.apply(field, penalty, voxel_weights)
    return multiplier * reduce_map(items[:, None], reduction)


@dataclass(frozen=True)
class Gradient(Settings):
    """`gradient_penalty` with its options bound."""

    penalty: str = "l2"
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_choice("penalty", self.penalty, PENALTIES)

    def __call__(self, field: Tensor, voxel_weights: Tensor | None = None) -> Tensor:
        return gradient_penalty(field, self.penalty, self.multiplier, voxel_weights)


class _DifferencePenalty(torch.autograd.Function):
    """(B,) mean over axes and differences; the gradient is written out, which takes a third of the time."""

    @staticmethod
    def forward(ctx, field, penalty, voxel_weights):
        ctx.penalty = penalty
        ctx.save_for_backward(field, voxel_weights)
        total = field.new_zeros(len(field))
        for axis in _long_axes(field):
            size = _weighted(torch.diff(field, dim=axis), axis, voxel_weights)
            size = size.abs_() if penalty == "l1" else size.square_()
            total += size.flatten(1).mean(1)
        return total / (field.ndim - 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        field, voxel_weights = ctx.saved_tensors
        result = torch.zeros_like(field)
        share = gradient.view(-1, *(1,) * (field.ndim - 1)) * (len(field) / (field.ndim - 2))
        for axis in _long_axes(field):
            slope = _weighted(torch.diff(field, dim=axis), axis, voxel_weights)
            factor = share * ((1 if ctx.penalty == "l1" else 2) / slope.numel())
            slope = _weighted(slope.sign_() if ctx.penalty == "l1" else slope, axis, voxel_weights).mul_(factor)
            steps = field.shape[axis] - 1
            result.narrow(axis, 1, steps).add_(slope)
            result.narrow(axis, 0, steps).sub_(slope)
        return result, None, None


def _long_axes(field: Tensor) -> list[int]:
    """Axes along which there are neighbours."""
    return [axis for axis in range(2, field.ndim) if field.shape[axis] > 1]


def _weighted(difference: Tensor, axis: int, voxel_weights: Tensor | None) -> Tensor:
    """Multiply, in place, differences along an axis by the weights of their upper voxels."""
    if voxel_weights is None:
        return difference
    return difference.mul_(voxel_weights.narrow(axis, 1, difference.shape[axis]))
