"""The voxel coordinates of a grid as a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def identity_grid(
    shape: Sequence[int], device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(1, N, *shape), the voxel coordinates of every voxel; component 0 along the first spatial axis."""
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
