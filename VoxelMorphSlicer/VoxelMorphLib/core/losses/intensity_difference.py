"""Differences of intensities: mean squared, and Tukey's biweight, which saturates so that outliers do not pull."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..config import Settings
from ..full_precision import in_float32
from ..options import check_range
from .reduction import check_same_shape, reduce_map


@in_float32
def mse_loss(
    fixed: Tensor, moved: Tensor, image_sigma: float = 1.0, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Mean of (fixed - moved)^2 / image_sigma^2.

    Args:
        fixed: (B, C, *shape).
        moved: (B, C, *shape).
        image_sigma: standard deviation of the intensity noise.
        mask: (B or 1, C or 1, *shape) weights of the voxels.
        reduction: see `reduce_map`.
    """
    check_same_shape(fixed, moved)
    return reduce_map((fixed - moved).square() / image_sigma**2, reduction, mask)


@dataclass(frozen=True)
class MSE(Settings):
    """`mse_loss` with its options bound."""

    image_sigma: float = 1.0

    def __post_init__(self) -> None:
        check_range("image_sigma", self.image_sigma, 1e-6, 1e6)

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return mse_loss(fixed, moved, self.image_sigma, mask)


@in_float32
def tukey_loss(
    fixed: Tensor, moved: Tensor, scale: float = 0.5, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Mean of scale^2 / 2 (1 - (1 - e^2 / scale^2)^3) with e = fixed - moved, constant beyond |e| = scale.

    Args:
        fixed: (B, C, *shape).
        moved: (B, C, *shape).
        scale: intensity difference beyond which a voxel counts as an outlier.
        mask: (B or 1, C or 1, *shape) weights of the voxels.
        reduction: see `reduce_map`.

    Source: Black et al., IJCV 1998, with the factor 1/2 of VoxelMorph in place of 1/6.
    """
    check_same_shape(fixed, moved)
    inlying = (1 - (fixed - moved).square() / scale**2).clamp(min=0)
    return reduce_map((1 - inlying**3) * (scale**2 / 2), reduction, mask)


@dataclass(frozen=True)
class Tukey(Settings):
    """`tukey_loss` with its options bound."""

    scale: float = 0.5

    def __post_init__(self) -> None:
        check_range("scale", self.scale, 1e-6, 1e6)

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return tukey_loss(fixed, moved, self.scale, mask)
