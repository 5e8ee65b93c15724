"""The Jacobian determinant: how much a displacement grows or shrinks every voxel."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import GeometryError
from .precision import at_least_float32


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Determinant of the derivative of x -> x + u(x): 1 keeps the volume, 0 or less folds.

    Args:
        displacement: (B, N, *shape), voxels, N = 1, 2 or 3. Central differences, one-sided at the border.

    Returns:
        (B, *shape).

    Raises:
        GeometryError: more than three components, or not one per axis.
    """
    n = displacement.shape[1]
    if n not in (1, 2, 3) or displacement.ndim != n + 2:
        raise GeometryError(
            f"A displacement is (B, N, *shape) with N = 1, 2 or 3 axes, got {tuple(displacement.shape)}."
        )
    displacement = at_least_float32(displacement)
    if n == 1:
        return _derivative(displacement, 0, 0)
    if n == 2:
        a, b, c, d = (_derivative(displacement, i, j) for i in range(2) for j in range(2))
        return a * d - b * c
    determinant = torch.zeros_like(displacement[:, 0])
    for i in range(3):  # along the first row, so that only a few derivatives are in memory at once
        j, k = (i + 1) % 3, (i + 2) % 3
        minor = _derivative(displacement, 1, j) * _derivative(displacement, 2, k)
        minor = minor - _derivative(displacement, 1, k) * _derivative(displacement, 2, j)
        determinant = determinant + _derivative(displacement, 0, i) * minor
    return determinant


def _derivative(displacement: Tensor, component: int, axis: int) -> Tensor:
    """(B, *shape): d(x + u)_component / dx_axis; an axis of one voxel has no change along it."""
    identity = float(component == axis)
    values = displacement[:, component]
    if values.shape[axis + 1] == 1:
        return torch.full_like(values, identity)
    return torch.gradient(values, dim=axis + 1)[0] + identity
