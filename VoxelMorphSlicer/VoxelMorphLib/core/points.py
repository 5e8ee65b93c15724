"""Points with labels, and image values at points."""

from __future__ import annotations

import torch
from torch import Tensor

from .spatial import sample_at


def values_at(image: Tensor, points: Tensor) -> Tensor:
    """(B, P, C): the image (B, C, *shape) at points (B, P, N), voxels; linear, clamped at the border."""
    return sample_at(image, points.transpose(1, 2)).transpose(1, 2)


def warp_surface(points: Tensor, displacement: Tensor, scale: float = 1.0) -> Tensor:
    """Move points that carry a label: x -> x + scale u(x).

    Args:
        points: (B, P, N + 1), voxels on the grid of `displacement`, the label in the last column.
        displacement: (B, N, *shape), voxels.
        scale: multiplier of the displacement.

    Returns:
        (B, P, N + 1), labels unchanged.
    """
    places, label = points[..., :-1], points[..., -1:]
    return torch.cat([places + scale * values_at(displacement, places), label], dim=-1)
