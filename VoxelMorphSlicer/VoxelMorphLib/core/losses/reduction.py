"""Reduction of a map of a loss or similarity: to one number, one number per pair, or not at all."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GeometryError
from ..options import check_choice

REDUCTIONS = ("mean", "item", "max", "none")


def check_same_shape(fixed: Tensor, moved: Tensor) -> None:
    """Raise GeometryError unless both tensors have the same shape (B, C, *shape) with 1 to 3 spatial axes."""
    if fixed.shape != moved.shape or not 3 <= fixed.ndim <= 5:
        raise GeometryError(
            f"Fixed and moved must have one shape (batch, channels, 1 to 3 spatial axes), got {tuple(fixed.shape)} "
            f"and {tuple(moved.shape)}. Resample the moved image to the fixed grid."
        )


def reduce_map(values: Tensor, reduction: str = "mean", mask: Tensor | None = None) -> Tensor:
    """Reduce a map to what the caller minimises.

    Args:
        values: (B, C, *shape).
        reduction: "mean" over the batch of the means per item, "item" (B,) these means, "max" (B,) the largest value
            of each item, "none" the map.
        mask: (B or 1, C or 1, *shape) weights >= 0 of the means; an item without any weight has mean 0.

    Raises:
        ConfigError: unknown reduction.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return values if mask is None else values * mask
    if reduction == "max":
        return (values if mask is None else values * mask).flatten(1).amax(1)
    means = values.flatten(1).mean(1) if mask is None else _weighted_mean(values, mask)
    return means if reduction == "item" else means.mean()


def _weighted_mean(values: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(values.dtype).expand_as(values).flatten(1)
    total = weights.sum(1)
    return (values.flatten(1) * weights).sum(1) / torch.where(total > 0, total, torch.ones_like(total))
