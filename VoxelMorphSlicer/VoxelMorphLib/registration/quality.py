"""Figures that tell how well a pair was aligned and whether its transforms can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.config import Settings
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.metrics import correlation, mutual_information
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
    folded_percent: float
    jacobian_min: float
    jacobian_max: float
    displacement_mean_mm: float
    displacement_max_mm: float
    inverse_residual_mm: float


def measure(
    fixed: Image, moving: Image, moved: Image, initial: Transform, forward: Transform, inverse: Transform
) -> Figures:
    """Compare the images before and after, and check the field.

    Args:
        fixed, moving, moved: of one registration.
        initial: where the moving image was before, fixed -> moving.
        forward, inverse: the result.
    """
    grid = _coarse(fixed.geometry)
    reference = _at(fixed, grid)
    before, after = initial.resample(moving, grid).array, _at(moved, grid)
    field = deformable_part(forward)
    jacobian = field.jacobian_determinant().array
    length = np.linalg.norm(field.array, axis=-1)
    return Figures(
        similarity_before=correlation(reference, before),
        similarity_after=correlation(reference, after),
        mutual_information_before=mutual_information(reference, before),
        mutual_information_after=mutual_information(reference, after),
        folded_percent=100.0 * float((jacobian <= 0).mean()),
        jacobian_min=float(jacobian.min()),
        jacobian_max=float(jacobian.max()),
        displacement_mean_mm=float(length.mean()),
        displacement_max_mm=float(length.max()),
        inverse_residual_mm=_round_trip(grid, forward, inverse),
    )


def deformable_part(transform: Transform) -> DisplacementField:
    """The displacement field that a forward transform begins with."""
    first = transform.transforms[0] if isinstance(transform, CompositeTransform) else transform
    assert isinstance(first, DisplacementField)
    return first


def _round_trip(grid: Geometry, forward: Transform, inverse: Transform) -> float:
    """Largest distance, mm, of a place from where it comes back to; places that leave the grid do not count."""
    inner = [slice(n // 10, max(n - n // 10, n // 10 + 1)) for n in grid.shape]
    points = grid.points()[tuple(inner)].reshape(-1, 3)
    back = inverse.apply_to_points(forward.apply_to_points(points))
    return float(np.linalg.norm(back - points, axis=-1).max())


def _coarse(geometry: Geometry) -> Geometry:
    """About `SAMPLES` voxels over the same field of view, on whole voxels of the fine grid."""
    step = max(1, int(np.ceil((np.prod(geometry.shape) / SAMPLES) ** (1 / 3))))
    affine = geometry.affine.copy()
    affine[:3, :3] *= step
    return Geometry(tuple(-(-n // step) for n in geometry.shape), affine)


def _at(image: Image, grid: Geometry) -> np.ndarray:
    step = round(float((grid.spacing / image.geometry.spacing).max()))
    return image.array[::step, ::step, ::step]
