"""Figures that tell how well a pair was aligned and whether its transforms can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.config import Settings
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.metrics import correlation, folding, mutual_information
from ..core.transform import CompositeTransform, DisplacementField, Transform

#: Places at which images are compared and round trips are made.
SAMPLES = 200_000


@dataclass(frozen=True)
class Figures(Settings):
    """The measured part of a `RegistrationReport`; see there."""

    similarity_before: float
    similarity_after: float
    mutual_information_before: float
    mutual_information_after: float
    folded_voxels: int
    folded_percent: float
    jacobian_min: float
    jacobian_max: float
    displacement_mean_mm: float
    displacement_max_mm: float
    inverse_residual_mm: float
    inverse_residual_p99_mm: float


def measure(
    fixed: Image, moving: Image, moved: Image, initial: Transform, forward: Transform, inverse: Transform
) -> Figures:
    """Compare the images before and after, and check the field.

    Args:
        fixed, moving, moved: of one registration.
        initial: where the moving image was before, fixed -> moving.
        forward, inverse: the result.
    """
    grid = coarse_grid(fixed.geometry)
    reference = _at(fixed, grid)
    before, after = initial.resample(moving, grid).array, _at(moved, grid)
    field = deformable_part(forward, grid)
    folds = folding(volume_ratio(forward, field))
    residual = _round_trip(grid, forward, inverse)
    length = np.sqrt(np.einsum("...i,...i", field.array, field.array))  # many times faster than numpy's norm
    return Figures(
        similarity_before=correlation(reference, before),
        similarity_after=correlation(reference, after),
        mutual_information_before=mutual_information(reference, before),
        mutual_information_after=mutual_information(reference, after),
        folded_voxels=folds.count,
        folded_percent=folds.percent,
        jacobian_min=folds.minimum,
        jacobian_max=folds.maximum,
        displacement_mean_mm=float(length.mean()),
        displacement_max_mm=float(length.max()),
        inverse_residual_mm=float(residual.mean()),
        inverse_residual_p99_mm=float(np.percentile(residual, 99)),
    )


def deformable_part(transform: Transform, grid: Geometry) -> DisplacementField:
    """The displacement field that a forward transform begins with, or on `grid` what an affine map amounts to."""
    first = transform.transforms[0] if isinstance(transform, CompositeTransform) else transform
    return first if isinstance(first, DisplacementField) else transform.to_displacement(grid)


def volume_ratio(transform: Transform, field: DisplacementField) -> np.ndarray:
    """(I, J, K), Jacobian determinant of the whole map, its affine part included, on the grid of its deformable part.

    Args:
        transform: the map.
        field: its `deformable_part`.
    """
    parts = transform.transforms if isinstance(transform, CompositeTransform) else ()
    matrices = [part.as_matrix() for part in parts[1:]] if parts and parts[0] is field else []
    known = [matrix for matrix in matrices if matrix is not None]
    if len(known) < len(matrices):
        return transform.to_displacement(field.geometry).jacobian_determinant().array
    scale = np.prod([np.linalg.det(matrix[:3, :3]) for matrix in known])
    return field.jacobian_determinant().array * np.float32(scale)


def _round_trip(grid: Geometry, forward: Transform, inverse: Transform) -> np.ndarray:
    """Distances, mm, of places in the inner grid from where they come back to."""
    inner = [slice(n // 10, max(n - n // 10, n // 10 + 1)) for n in grid.shape]
    points = grid.points()[tuple(inner)].reshape(-1, 3)
    back = inverse.apply_to_points(forward.apply_to_points(points))
    return np.linalg.norm(back - points, axis=-1)


def coarse_grid(geometry: Geometry) -> Geometry:
    """About `SAMPLES` voxels over the same field of view, on whole voxels of the fine grid."""
    step = max(1, int(np.ceil((np.prod(geometry.shape) / SAMPLES) ** (1 / 3))))
    affine = geometry.affine.copy()
    affine[:3, :3] *= step
    return Geometry(tuple(-(-n // step) for n in geometry.shape), affine)


def _at(image: Image, grid: Geometry) -> np.ndarray:
    step = round(float((grid.spacing / image.geometry.spacing).max()))
    return image.array[::step, ::step, ::step]
