"""Voxel indices of a grid, of one with half its resolution, and counted from its middle: matrices between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def halved(image: Tensor) -> Tensor:
    """Every second voxel of (B, C, *shape), as many as half the extent: voxel i is voxel 2 i of the image."""
    return image[(..., *(slice(0, n // 2 * 2, 2) for n in image.shape[2:]))]


def scaling(factor: float, like: Tensor) -> Tensor:
    """(1, N, N + 1): coordinates times `factor`; N, dtype and device of the matrix `like` (B, N, N + 1)."""
    matrix = torch.eye(like.shape[-1] - 1, like.shape[-1], dtype=like.dtype, device=like.device)
    return factor * matrix[None]


def from_first_voxel(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, N, N + 1) on coordinates from voxel 0, of a matrix on coordinates from the middle of a grid of `shape`."""
    middle = torch.tensor([(n - 1) / 2 for n in shape], dtype=matrix.dtype, device=matrix.device)[:, None]
    linear = matrix[..., :-1]
    return torch.cat([linear, matrix[..., -1:] + middle - linear @ middle], -1)
