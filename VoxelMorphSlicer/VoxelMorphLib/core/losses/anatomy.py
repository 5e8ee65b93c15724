"""Losses on anatomy: overlap of label maps, and distance of moved surface points from their surface."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings
from ..errors import GeometryError
from ..full_precision import in_float32
from ..options import check_range
from ..spatial import values_at
from .reduction import check_same_shape


@in_float32
def soft_dice(fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Dice overlap 2 sum(fixed moved) / sum(fixed + moved) of each label of each pair.

    Args:
        fixed: (B, L, *shape), memberships 0 to 1 of L labels.
        moved: (B, L, *shape).
        mask: (B or 1, 1 or L, *shape) weights of the voxels.

    Returns:
        overlap (B, L), 0 for a label that occurs in neither; and whether it occurs, (B, L) bool.
    """
    check_same_shape(fixed, moved)
    if mask is not None:
        fixed, moved = fixed * mask, moved * mask
    shared = 2 * (fixed * moved).flatten(2).sum(2)
    total = (fixed + moved).flatten(2).sum(2)
    occurs = total > 0
    return shared / torch.where(occurs, total, torch.ones_like(total)), occurs


def dice_loss(fixed: Tensor, moved: Tensor, mask: Tensor | None = None, drop_absent: bool = False) -> Tensor:
    """Negative mean of `soft_dice` over pairs and labels: -1 at best.

    Args:
        fixed: (B, L, *shape), memberships 0 to 1 of L labels.
        moved: (B, L, *shape).
        mask: (B or 1, 1 or L, *shape) weights of the voxels.
        drop_absent: leave out labels that occur in neither map; the original counts them as overlap 0.

    Source: Milletari et al., 3DV 2016; Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, equation 10.
    """
    overlap, occurs = soft_dice(fixed, moved, mask)
    if not drop_absent:
        return -overlap.mean()
    return -overlap.sum() / occurs.sum().clamp(min=1)


@dataclass(frozen=True)
class Dice(Settings):
    """`dice_loss` with its options bound."""

    drop_absent: bool = False

    def __call__(self, fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> Tensor:
        return dice_loss(fixed, moved, mask, self.drop_absent)


def surface_distance(distance: Tensor, points: Tensor) -> Tensor:
    """Absolute distance of labelled points from the surface of their label.

    Args:
        distance: (B, L, *shape), signed distance in voxels of each of L labels, see `core.arrays`.
        points: (B, P, N + 1), voxel coordinates, then the index of the label's channel; (B, P, N) when L is 1.

    Returns:
        (B, P), voxels.

    Raises:
        GeometryError: not N or N + 1 columns.
    """
    axes = distance.ndim - 2
    labelled = points.shape[-1] == axes + 1
    if not labelled and (points.shape[-1] != axes or distance.shape[1] != 1):
        raise GeometryError(
            f"Surface points on {axes} axes with {distance.shape[1]} labels have {axes + 1} columns, got "
            f"{points.shape[-1]}. Give the voxel coordinates, then the index of the label."
        )
    values = values_at(distance, points[..., :axes])
    if labelled:
        values = values.gather(2, points[..., axes:].round().long())
    return values[..., 0].abs()


@in_float32
def surface_loss(distance: Tensor, points: Tensor, sigma: float = 1.0) -> Tensor:
    """Mean over points and pairs of (distance / sigma)^2; see `surface_distance` for the tensors.

    The gradient reaches the points, and so the field that moved them.

    Args:
        sigma: distance that counts as 1, voxels.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538; VoxelMorph's semi-supervised point clouds.
    """
    return (surface_distance(distance, points) / sigma).square().mean()


@dataclass(frozen=True)
class Surface(Settings):
    """`surface_loss` with its options bound."""

    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma, 1e-6, 1e6)

    def __call__(self, distance: Tensor, points: Tensor) -> Tensor:
        return surface_loss(distance, points, self.sigma)
