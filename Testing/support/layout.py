"""Between the recorded layout (channels last, numpy) and the library's (channels first, torch)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def channels_first(array: np.ndarray) -> Tensor:
    """(B, *shape, C) array -> (B, C, *shape) tensor, a copy."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy())


def channels_last(tensor: Tensor) -> np.ndarray:
    """(B, C, *shape) tensor -> (B, *shape, C) array."""
    return np.moveaxis(tensor.detach().cpu().numpy(), 1, -1)


def as_transform(array: np.ndarray) -> Tensor:
    """Matrices (B, N, N + 1) or square as they are, displacements (B, *shape, N) channels first."""
    return torch.from_numpy(array.copy()) if array.ndim == 3 and _is_matrix(array) else channels_first(array)


def _is_matrix(array: np.ndarray) -> bool:
    return array.shape[2] - array.shape[1] in (0, 1)
