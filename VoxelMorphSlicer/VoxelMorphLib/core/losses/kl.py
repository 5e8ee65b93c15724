"""Divergence of a predicted velocity distribution from a smooth prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings, check_choice, check_range
from ..errors import GeometryError
from ..precision import in_float32
from .gradient import gradient_penalty

VARIANTS = ("current", "miccai2018")


@in_float32
def kl_loss(parameters: Tensor, prior_lambda: float = 10.0, variant: str = "current") -> Tensor:
    """Kullback-Leibler divergence, up to a constant, from a prior with precision lambda (D - A).

    D counts the neighbours of each voxel inside the grid (3 to 6 in 3-D), A joins neighbours.

    Args:
        parameters: (B, 2 N, *shape): N means of the velocity in voxels, then N logarithms of its variance.
        prior_lambda: smoothness of the prior.
        variant: "current", or "miccai2018" whose variance term is N times weaker, as in the code of September 2018.

    Raises:
        GeometryError: not 2 N channels for N axes.
        ConfigError: another variant.

    Source: Dalca et al., MICCAI 2018, arXiv:1805.04605, equation 7.
    """
    check_choice("variant", variant, VARIANTS)
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


def _neighbours(shape: Sequence[int], like: Tensor) -> Tensor:
    """(*shape) number of face neighbours inside the grid."""
    count = torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)
    for axis, extent in enumerate(shape):
        if extent > 1:
            count.narrow(axis, 1, extent - 1).add_(1)
            count.narrow(axis, 0, extent - 1).add_(1)
    return count


@dataclass(frozen=True)
class KL(Settings):
    """`kl_loss` with its options bound."""

    prior_lambda: float = 10.0
    variant: str = "current"

    def __post_init__(self) -> None:
        check_range("prior_lambda", self.prior_lambda, 0, 1e6)
        check_choice("variant", self.variant, VARIANTS)

    def __call__(self, parameters: Tensor) -> Tensor:
        return kl_loss(parameters, self.prior_lambda, self.variant)
