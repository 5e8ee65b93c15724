"""Barycentres: where the mass of every channel lies."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import in_float32


@in_float32
def barycentre(image: Tensor, normalize: bool = False, shift_center: bool = False) -> Tensor:
    """The mean position of the voxels, weighted with their values.

    Args:
        image: (B, C, *shape), not negative.
        normalize: positions as a fraction of the extents.
        shift_center: positions count from the middle of the grid, (n - 1) / 2, else from voxel 0.

    Returns:
        (B, C, N), voxels (or fractions); 0 for a channel without mass.
    """
    mass = image.flatten(2).sum(2)
    divisor = torch.where(mass == 0, torch.ones_like(mass), mass)
    centres = []
    for axis, extent in enumerate(image.shape[2:], start=2):
        position = torch.arange(extent, device=image.device, dtype=image.dtype)
        position = position - (extent - 1) / 2 if shift_center else position
        profile = image.movedim(axis, 2).reshape(*mass.shape, extent, -1).sum(-1)
        centre = (profile * position).sum(-1) / divisor
        centres.append(centre / extent if normalize else centre)
    return torch.stack(centres, dim=-1)
