"""Intensities between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .precision import at_least_float32


def min_max(tensor: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """(x - min) / (max - min) over `dims` (all unless given); 0 where everything is equal. A new tensor."""
    tensor = at_least_float32(tensor)
    dims = tuple(range(tensor.ndim)) if dims is None else tuple(dims)
    low, high = tensor.amin(dims, keepdim=True), tensor.amax(dims, keepdim=True)
    extent = high - low
    return (tensor - low) / torch.where(extent == 0, torch.ones_like(extent), extent)
