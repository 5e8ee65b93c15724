"""Mean squared difference of two images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..config import Settings, check_range
from ..precision import in_float32
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
