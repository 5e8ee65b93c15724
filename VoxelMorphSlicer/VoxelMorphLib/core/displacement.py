"""Displacement fields in voxels: integration of velocities, composition, inversion and the Jacobian determinant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .affine import affine_to_displacement, is_affine, square, without_last_row
from .errors import ConfigError, GeometryError
from .full_precision import at_least_float32, in_float32
from .spatial import SLAB, sample_at, warp


def integrate_velocity(
    velocity: Tensor, steps: int = 7, method: str = "scaling-squaring", padding: str = "border"
) -> Tensor:
    """Displacement of exp(velocity); exp(-velocity) is its inverse.

    Args:
        velocity: (B, N, *shape), voxels of its own grid per unit time.
        steps: number of squarings (2^steps small steps), or of small steps for "quadrature".
        method: "scaling-squaring", or "quadrature" (sum of `steps` Euler steps).
        padding: values of the velocity outside its grid, "border" or "zeros".

    Returns:
        (B, N, *shape), voxels, float32. With scaling-squaring and 0 steps the velocity itself, as in the original.

    Raises:
        ConfigError: unknown method or impossible number of steps.

    Source: Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82, section 2.1; Arsigny et al., MICCAI 2006.
    """
    if method == "scaling-squaring" and steps >= 0:
        displacement = at_least_float32(velocity) / 2**steps
        for _ in range(steps):
            displacement = displacement + warp(displacement, displacement, padding=padding)
        return displacement
    if method == "quadrature" and steps >= 1:
        step = at_least_float32(velocity) / steps
        displacement = step
        for _ in range(steps - 1):
            displacement = displacement + warp(step, displacement, padding=padding)
        return displacement
    raise ConfigError(
        f"Cannot integrate by {method!r} in {steps} steps; "
        "choose scaling-squaring with 0 or more, or quadrature with 1 or more."
    )


def compose(
    transforms: Sequence[Tensor],
    shift_center: bool = True,
    shape: Sequence[int] | None = None,
    interpolation: str = "linear",
) -> Tensor:
    """The transform x -> T0(T1(...(x))); applied to images, T0 acts first.

    Args:
        transforms: matrices (B, N, N + 1) or (B, N + 1, N + 1) and displacements (B, N, *shape) in voxels.
        shift_center: matrices act on coordinates relative to the centre of the grid, otherwise to voxel 0.
        shape: grid of the result if the last transform is a matrix; default that of the displacement before it.
        interpolation: how displacements are sampled, "linear" or "nearest".

    Returns:
        (B, N, N + 1) if all are matrices, else (B, N, *shape).

    Raises:
        GeometryError: no transform, or they do not fit each other.
    """
    if not transforms:
        raise GeometryError("There is nothing to compose: give at least one matrix or displacement.")
    result = at_least_float32(transforms[-1])
    for transform in reversed(transforms[:-1]):
        result = _compose_two(at_least_float32(transform), result, shift_center, shape, interpolation)
    return without_last_row(result) if is_affine(result) else result


@torch.no_grad()
def invert_displacement(
    displacement: Tensor,
    iterations: int = 50,
    tolerance: float = 0.01,
    start: Tensor | None = None,
    check: bool = True,
) -> tuple[Tensor, Tensor]:
    """Invert by solving v(x) = -u(x + v(x)) at every voxel.

    A voxel whose error does not shrink halves its step, so that expansions by more than a factor of two converge too.
    Where the displacement folds there is no inverse and the residual stays large. Voxels whose residual is small
    enough are left alone, which most are after a few iterations.

    Args:
        displacement: (B, N, *shape), voxels; its border values continue outside its grid.
        iterations: largest number.
        tolerance: residual that is small enough, voxels.
        start: (B, N, *shape), initial estimate; default the negative displacement.
        check: measure the residual after the last iteration, at the cost of one more warp, instead of before it.

    Returns:
        The inverse (B, N, *shape), voxels, and the largest residual |v(x) + u(x + v(x))| of each item, (B,) voxels.
        No gradient flows.

    Source: Chen et al., Med. Phys. 35:81-88 (2008), doi:10.1118/1.2816107, with a step that adapts per voxel.
    """
    displacement = at_least_float32(displacement)
    inverse = (-displacement if start is None else at_least_float32(start).clone()).contiguous()
    error = warp(displacement, inverse).add_(inverse).neg_()
    residual = _lengths(error)
    for item in range(len(inverse)):
        each = _Inverse(displacement[item : item + 1], inverse[item], error[item].flatten(1), residual[item].flatten())
        for voxels in (each.lengths > tolerance).nonzero()[:, 0].split(SLAB):
            each.correct(voxels, iterations, tolerance, check)
    return inverse, residual.flatten(1).amax(1)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Determinant of the derivative of x -> x + u(x): 1 preserves volume, 0 or less is a fold.

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
    second, third = ([_derivative(displacement, row, axis) for axis in range(3)] for row in (1, 2))
    determinant = torch.zeros_like(displacement[:, 0])
    for i in range(3):  # along the first row
        j, k = (i + 1) % 3, (i + 2) % 3
        minor = second[j] * third[k] - second[k] * third[j]
        determinant = determinant + _derivative(displacement, 0, i) * minor
    return determinant


@dataclass(frozen=True, eq=False)
class _Inverse:
    """The inverse of one displacement while it is corrected.

    Args:
        displacement: (1, N, *shape).
        inverse: (N, *shape), contiguous.
        errors: (N, voxels), of the inverse as it was at first.
        lengths: (voxels,), of the errors as far as they are known.
    """

    displacement: Tensor
    inverse: Tensor
    errors: Tensor
    lengths: Tensor

    def correct(self, voxels: Tensor, iterations: int, tolerance: float, check: bool) -> None:
        """Iterate at some voxels, whose numbers are (P,); the other arguments are those of `invert_displacement`."""
        values = self.inverse.view(len(self.inverse), -1)
        place = torch.stack(torch.unravel_index(voxels, self.inverse.shape[1:]))
        found, error, length = (each.index_select(-1, voxels) for each in (values, self.errors, self.lengths))
        step = torch.ones_like(length)
        for iteration in range(1, iterations + 1):
            found = torch.addcmul(found, step, error)
            if iteration == iterations and not check:
                break
            error = sample_at(self.displacement, (place + found)[None])[0].add_(found).neg_()
            previous, length = length, _lengths(error[None])[0, 0]
            step = torch.where(length < previous, step, step / 2)
            done, kept = ((length > tolerance) == still for still in (False, True))
            done, kept = done.nonzero()[:, 0], kept.nonzero()[:, 0]
            self._put(*(each.index_select(-1, done) for each in (voxels, found, length)))
            if not len(kept):
                return
            voxels, place, found, error, length, step = (
                each.index_select(-1, kept) for each in (voxels, place, found, error, length, step)
            )
        self._put(voxels, found, length)

    def _put(self, voxels: Tensor, found: Tensor, length: Tensor) -> None:
        self.inverse.view(len(self.inverse), -1).index_copy_(1, voxels, found)
        self.lengths.index_copy_(0, voxels, length)


def _compose_two(
    outer: Tensor, inner: Tensor, shift_center: bool, shape: Sequence[int] | None, interpolation: str
) -> Tensor:
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


def _lengths(vectors: Tensor) -> Tensor:
    """(B, 1, *shape); one component at a time, which is several times faster than a norm over an outer axis."""
    squares = vectors[:, :1].square()
    for component in range(1, vectors.shape[1]):
        squares.addcmul_(vectors[:, component : component + 1], vectors[:, component : component + 1])
    return squares.sqrt_()


def _derivative(displacement: Tensor, component: int, axis: int) -> Tensor:
    """(B, *shape): d(x + u)_component / dx_axis; zero change along an axis of one voxel."""
    identity = float(component == axis)
    values = displacement[:, component]
    if values.shape[axis + 1] == 1:
        return torch.full_like(values, identity)
    return torch.gradient(values, dim=axis + 1)[0] + identity
