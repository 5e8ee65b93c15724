"""Affine matrices on voxel coordinates: forms, inverse, square root, rescaling, fit to points, and displacement.

A matrix is (B, N, N + 1) or square (B, N + 1, N + 1). It maps output to input coordinates (pull), given as columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import GeometryError
from .full_precision import as_double, in_float32

ROOT_ITERATIONS = 30
ROOT_RESIDUAL = 1e-6
#: Condition number of the normal equations above which a float64 solution has no correct digit.
LARGEST_CONDITION = 1e12


def is_affine(transform: Tensor) -> bool:
    """True for a batch of matrices, False for a batch of displacements (B, N, *shape).

    A 1-D displacement of one or two voxels has the shape of a matrix and is treated as one.
    """
    return transform.ndim == 3 and transform.shape[2] - transform.shape[1] in (0, 1)


def square(matrix: Tensor) -> Tensor:
    """(..., N + 1, N + 1): `matrix` (..., N, N + 1) with the row 0 ... 0 1 added; a square one is returned as is."""
    if matrix.shape[-1] == matrix.shape[-2]:
        return matrix
    row = torch.zeros_like(matrix[..., :1, :])
    row[..., -1] = 1
    return torch.cat([matrix, row], dim=-2)


def without_last_row(matrix: Tensor) -> Tensor:
    """(..., N, N + 1) of a matrix in either form."""
    return matrix[..., : matrix.shape[-1] - 1, :]


def add_identity(matrix: Tensor) -> Tensor:
    """(B, N, N + 1): identity plus a difference from it, (B, N, N + 1) or flat (B, N (N + 1))."""
    if matrix.ndim == 2:
        matrix = matrix.reshape(matrix.shape[0], _dimensions(matrix.shape[1]), -1)
    return matrix + _identity_like(matrix)


def remove_identity(matrix: Tensor) -> Tensor:
    """(B, N, N + 1): the difference of a matrix from identity."""
    return matrix - _identity_like(matrix)


@in_float32
def invert_affine(matrix: Tensor) -> Tensor:
    """The inverse, in the form of `matrix`.

    Raises:
        GeometryError: a matrix is singular or not finite.
    """
    inverse, failed = torch.linalg.inv_ex(square(matrix))
    if failed.any() or not inverse.isfinite().all():
        raise GeometryError(
            f"A matrix has no inverse: {matrix.tolist()}. Give matrices that keep the volume above zero."
        )
    return inverse[..., : matrix.shape[-2], :]


def rescale_affine(matrix: Tensor, factor: float | Sequence[float]) -> Tensor:
    """The same mapping on a grid with `factor` times as many voxels; one factor, or one per axis.

    Coordinates on the new grid are `factor` times those on the old one, so a single factor scales only the
    translation.
    """
    n = matrix.shape[-1] - 1
    scale = torch.as_tensor(factor, dtype=torch.float64).expand(n)
    scale = torch.cat([scale, scale.new_ones(1)])
    ratio = scale[: matrix.shape[-2], None] / scale[None, :]
    return matrix * ratio.to(matrix.device, matrix.dtype)


@in_float32
def affine_to_displacement(
    matrix: Tensor, shape: Sequence[int], shift_center: bool = True, warp_right: Tensor | None = None
) -> Tensor:
    """The displacement A (x + w(x)) + t - x of a matrix on a grid.

    Args:
        matrix: (B, N, N + 1) or (B, N + 1, N + 1), on voxel coordinates.
        shape: extents of the grid.
        shift_center: coordinates are relative to the centre of the grid, (n - 1) / 2, otherwise to voxel 0.
        warp_right: (B, N, *shape), voxels; a displacement w applied before the matrix.

    Returns:
        (B, N, *shape), voxels.

    Raises:
        GeometryError: the matrix does not fit the number of axes.
    """
    n = len(shape)
    matrix = without_last_row(matrix)
    if matrix.shape[-2:] != (n, n + 1):
        raise GeometryError(
            f"A grid {tuple(shape)} needs matrices of {n} x {n + 1}, got {tuple(matrix.shape)}. Give one row per axis."
        )
    axes = [torch.arange(extent, device=matrix.device, dtype=matrix.dtype) for extent in shape]
    if shift_center:
        axes = [axis - (extent - 1) / 2 for axis, extent in zip(axes, shape)]
    grid = torch.meshgrid(*axes, indexing="ij")
    places = grid if warp_right is None else [axis + warp_right[:, i] for i, axis in enumerate(grid)]
    entries = matrix.reshape(-1, n, n + 1, *[1] * n)
    rows = []
    for i, axis in enumerate(grid):
        # The original's order of operations, for bitwise equal results: they decide which voxels are neighbours.
        mapped = entries[:, i, 0] * places[0]
        for j in range(1, n):
            mapped = torch.addcmul(mapped, entries[:, i, j], places[j])
        rows.append(mapped + entries[:, i, n] - axis)
    return torch.stack(rows, dim=1)


@in_float32
def affine_root(matrix: Tensor) -> Tensor:
    """The principal square root R, R R = M.

    Args:
        matrix: (B, N, N + 1) or (B, N + 1, N + 1).

    Returns:
        The root in the form of `matrix`, computed in float64.

    Raises:
        GeometryError: no real root exists: an eigenvalue is zero or negative (a reflection, a rotation by 180 degrees).

    Source: Denman and Beavers, Appl. Math. Comput. 2:63-94 (1976): Y, Z <- (Y + Z^-1) / 2, (Z + Y^-1) / 2.
    """
    whole = square(as_double(matrix))
    root, inverse_root = whole, torch.eye(whole.shape[-1], dtype=whole.dtype, device=whole.device).expand_as(whole)
    for _ in range(ROOT_ITERATIONS):
        following = (root + torch.linalg.inv_ex(inverse_root).inverse) / 2
        inverse_root = (inverse_root + torch.linalg.inv_ex(root).inverse) / 2
        step, root = (following - root).detach().abs().amax(), following
        if step <= 1e-14 * root.detach().abs().amax():
            break
    residual = (root @ root - whole).detach().abs().amax((-2, -1)) / whole.detach().abs().amax((-2, -1))
    if not bool((residual < ROOT_RESIDUAL).all()):
        raise GeometryError(
            f"A matrix has no real square root (residual {residual.max().item():.3g}): {matrix.tolist()}. "
            "Give matrices without reflection and with rotations below 180 degrees."
        )
    return root[..., : matrix.shape[-2], :].to(matrix)


@in_float32
def fit_affine(moving_points: Tensor, fixed_points: Tensor, weights: Tensor | None = None) -> Tensor:
    """The matrix that best maps `fixed_points` onto `moving_points`: the pull transform onto the fixed image.

    Args:
        moving_points: (B, P, N), voxels.
        fixed_points: (B, P, N), voxels; point p corresponds to point p of `moving_points`.
        weights: (B, P) or (B, P, 1), not negative; default equal.

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


def from_xy(transform: Tensor) -> Tensor:
    """A displacement (B, N, *shape) or matrices (B, N, N + 1), (B, N + 1, N + 1), with its first two axes swapped.

    Swapping is its own inverse, so this also converts back to "xy".
    """
    order = list(range(transform.shape[1]))
    order[:2] = order[1::-1]
    swapped = transform[:, order]
    if not is_affine(transform):
        return swapped
    columns = list(range(transform.shape[2]))
    columns[:2] = columns[1::-1]
    return swapped[:, :, columns]


def _identity_like(matrix: Tensor) -> Tensor:
    return torch.eye(*matrix.shape[-2:], device=matrix.device, dtype=matrix.dtype)


def _dimensions(count: int) -> int:
    """N of N (N + 1) parameters."""
    for n in (1, 2, 3):
        if n * (n + 1) == count:
            return n
    raise GeometryError(f"A flat matrix has 2, 6 or 12 entries in 1, 2 or 3 dimensions, got {count}.")


def _solvable(normal: Tensor) -> bool:
    return bool(normal.isfinite().all()) and bool((torch.linalg.cond(normal) < LARGEST_CONDITION).all())
