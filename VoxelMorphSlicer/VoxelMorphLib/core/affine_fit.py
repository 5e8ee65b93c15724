"""Least squares: two sets of corresponding points become the matrix that maps one onto the other."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import GeometryError
from .precision import as_double, in_float32

#: Condition number of the normal equations beyond which float64 leaves no figure of the solution.
LARGEST_CONDITION = 1e12


@in_float32
def fit_affine(moving_points: Tensor, fixed_points: Tensor, weights: Tensor | None = None) -> Tensor:
    """The matrix that takes `fixed_points` nearest to `moving_points`: the pull transform onto the fixed image.

    Args:
        moving_points: (B, P, N), voxels.
        fixed_points: (B, P, N), voxels; point p belongs to point p of `moving_points`.
        weights: (B, P) or (B, P, 1), not negative; equal unless given.

    Returns:
        (B, N, N + 1).

    Raises:
        GeometryError: the points (of positive weight) do not span the space.

    Source: weighted normal equations (X^T W X)^-1 X^T W Y, solved in float64 about the fixed points' centre.
    """
    moving, fixed = as_double(moving_points), as_double(fixed_points)
    weights = torch.ones_like(fixed[..., :1]) if weights is None else as_double(weights).reshape(*fixed.shape[:2], 1)
    centre = (weights * fixed).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    design = torch.cat([fixed - centre, torch.ones_like(fixed[..., :1])], -1)
    normal = design.mT @ (weights * design)
    if not _solvable(normal.detach()):
        raise GeometryError(
            f"{fixed.shape[1]} points do not determine a matrix in {fixed.shape[2]}-D: too few have a finite place and "
            "weight, or they lie in one plane. Give more points."
        )
    solution = torch.linalg.solve(normal, design.mT @ (weights * moving))
    linear, offset = solution[:, :-1].mT, solution[:, -1:].mT
    matrix = torch.cat([linear, offset - linear @ centre.mT], -1)
    return matrix.to(moving_points)


def _solvable(normal: Tensor) -> bool:
    return bool(normal.isfinite().all()) and bool((torch.linalg.cond(normal) < LARGEST_CONDITION).all())
