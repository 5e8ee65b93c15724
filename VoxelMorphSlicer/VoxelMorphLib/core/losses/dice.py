"""Overlap of label maps given as one channel per label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings
from ..precision import in_float32
from .reduction import check_same_shape


@in_float32
def soft_dice(fixed: Tensor, moved: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Dice overlap 2 sum(fixed moved) / sum(fixed + moved) of each label of each pair.

    Args:
        fixed: (B, L, *shape), memberships 0 to 1 of L labels.
        moved: (B, L, *shape).
        mask: (B or 1, 1 or L, *shape) weights of the voxels.

    Returns:
        overlap (B, L), 0 for a label that occurs in neither; and (B, L) bool, whether it occurs.
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
