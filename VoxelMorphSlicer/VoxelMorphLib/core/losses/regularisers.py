"""Penalties on a field: its gradient, its curvature, and its divergence from a smooth prior distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..config import Settings
from ..errors import GeometryError
from ..full_precision import in_float32
from ..options import check_choice, check_range
from .reduction import reduce_map

PENALTIES = ("l1", "l2")
KL_VARIANTS = ("current", "miccai2018")


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
        ConfigError: unknown penalty or reduction.

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


@in_float32
def bending_energy(field: Tensor, multiplier: float = 1.0) -> Tensor:
    """Mean over voxels and components of the squared second derivatives, mixed ones counted twice.

    Args:
        field: (B, C, *shape), a velocity or displacement in voxels; central differences at inner voxels.
        multiplier: factor of the result.

    Returns:
        Scalar; 0 along axes of fewer than three voxels.

    Source: Rueckert et al., IEEE TMI 1999, doi:10.1109/42.796284, equation 9.
    """
    means = [weight * d.square().mean() for weight, d in _second_derivatives(field) if d.numel()]
    return multiplier * sum(means, field.new_zeros(()))


@dataclass(frozen=True)
class Bending(Settings):
    """`bending_energy` with its options bound."""

    multiplier: float = 1.0

    def __call__(self, field: Tensor) -> Tensor:
        return bending_energy(field, self.multiplier)


@in_float32
def kl_loss(parameters: Tensor, prior_lambda: float = 10.0, variant: str = "current") -> Tensor:
    """Kullback-Leibler divergence, up to a constant, from a prior with precision lambda (D - A).

    D counts the neighbours of each voxel inside the grid (3 to 6 in 3-D), A is their adjacency matrix.

    Args:
        parameters: (B, 2 N, *shape): N means of the velocity in voxels, then N logarithms of its variance.
        prior_lambda: weight of the prior; larger is smoother.
        variant: "current", or "miccai2018", whose variance term is N times smaller, as in the code of September 2018.

    Raises:
        GeometryError: not 2 N channels for N axes.
        ConfigError: unknown variant.

    Source: Dalca et al., MICCAI 2018, arXiv:1805.04605, equation 7.
    """
    check_choice("variant", variant, KL_VARIANTS)
    axes = parameters.ndim - 2
    if parameters.shape[1] != 2 * axes:
        raise GeometryError(
            f"A velocity distribution on {axes} axes has {2 * axes} channels (means, log variances), got "
            f"{parameters.shape[1]}. Use a probabilistic network."
        )
    mean, logvar = parameters.split(axes, dim=1)
    neighbours = _neighbours(mean.shape[2:], mean)
    variance_term = (prior_lambda * neighbours * logvar.exp() - logvar).mean()
    if variant == "miccai2018":
        variance_term = variance_term / axes
    return 0.5 * axes * (variance_term + prior_lambda * precision_penalty(mean))


def precision_penalty(mean: Tensor) -> Tensor:
    """Half the mean squared difference of neighbouring voxels of (B, N, *shape), averaged over the axes."""
    return 0.5 * gradient_penalty(mean, "l2")


@dataclass(frozen=True)
class KL(Settings):
    """`kl_loss` with its options bound."""

    prior_lambda: float = 10.0
    variant: str = "current"

    def __post_init__(self) -> None:
        check_range("prior_lambda", self.prior_lambda, 0, 1e6)
        check_choice("variant", self.variant, KL_VARIANTS)

    def __call__(self, parameters: Tensor) -> Tensor:
        return kl_loss(parameters, self.prior_lambda, self.variant)


class _DifferencePenalty(torch.autograd.Function):
    """(B,) mean over axes and differences; an explicit gradient takes a third of the time."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, penalty: str, voxel_weights: Tensor | None) -> Tensor:
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
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
    """Axes of more than one voxel."""
    return [axis for axis in range(2, field.ndim) if field.shape[axis] > 1]


def _weighted(difference: Tensor, axis: int, voxel_weights: Tensor | None) -> Tensor:
    """Multiply, in place, differences along an axis by the weights of their upper voxels."""
    if voxel_weights is None:
        return difference
    return difference.mul_(voxel_weights.narrow(axis, 1, difference.shape[axis]))


def _second_derivatives(field: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(weight, derivative) for every pair of axes."""
    for first in range(2, field.ndim):
        yield 1, torch.diff(field, n=2, dim=first)
        for second in range(first + 1, field.ndim):
            yield 2, _central(_central(field, first), second)


def _central(field: Tensor, axis: int) -> Tensor:
    steps = max(field.shape[axis] - 2, 0)
    return (field.narrow(axis, field.shape[axis] - steps, steps) - field.narrow(axis, 0, steps)) / 2


def _neighbours(shape: Sequence[int], like: Tensor) -> Tensor:
    """(*shape) number of face neighbours inside the grid."""
    count = torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)
    for axis, extent in enumerate(shape):
        if extent > 1:
            count.narrow(axis, 1, extent - 1).add_(1)
            count.narrow(axis, 0, extent - 1).add_(1)
    return count
