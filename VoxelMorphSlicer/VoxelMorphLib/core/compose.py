"""Composition: several matrices and displacements become one transform."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .affine import affine_to_displacement, is_affine, square, without_last_row
from .errors import GeometryError
from .precision import at_least_float32, in_float32
from .spatial import warp


def compose(
    transforms: Sequence[Tensor],
    shift_center: bool = True,
    shape: Sequence[int] | None = None,
    interpolation: str = "linear",
) -> Tensor:
    """The transform x -> T0(T1(...(x))); on images T0 moves first.

    Args:
        transforms: matrices (B, N, N + 1) or (B, N + 1, N + 1) and displacements (B, N, *shape) in voxels.
        shift_center: the matrices act on coordinates that count from the middle of the grid, else from voxel 0.
        shape: grid of the result where the last transform is a matrix; by default that of the displacement before it.
        interpolation: how displacements are sampled, "linear" or "nearest".

    Returns:
        (B, N, N + 1) where all are matrices, else (B, N, *shape).

    Raises:
        GeometryError: no transform, or they do not fit each other.
    """
    if not transforms:
        raise GeometryError("There is nothing to compose: give at least one matrix or displacement.")
    result = at_least_float32(transforms[-1])
    for transform in reversed(transforms[:-1]):
        result = _pair(at_least_float32(transform), result, shift_center, shape, interpolation)
    return without_last_row(result) if is_affine(result) else result


def _pair(outer: Tensor, inner: Tensor, shift_center: bool, shape: Sequence[int] | None, interpolation: str) -> Tensor:
    if is_affine(outer) and is_affine(inner):
        return _product(outer, inner)
    if is_affine(outer):
        return affine_to_displacement(outer, inner.shape[2:], shift_center, warp_right=inner)
    if is_affine(inner):
        inner = affine_to_displacement(inner, shape or outer.shape[2:], shift_center)
    return inner + warp(outer, inner, interpolation)


@in_float32
def _product(outer: Tensor, inner: Tensor) -> Tensor:
    return without_last_row(square(outer) @ square(inner))
