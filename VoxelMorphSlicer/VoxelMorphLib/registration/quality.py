"""Figures that tell how well a pair was aligned and whether its transforms can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.config import Settings
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.metrics import correlation, folding, mutual_information
from ..core.transform import IDENTITY, CompositeTransform, DisplacementField, Transform

#: Places at which images are compared and round trips are made.
SAMPLES = 200_000
#: Two positions are compared at the same voxels, if these are so much of what the poorer position shows.
SHARED = 0.5
#: Fewer voxels tell nothing.
FEWEST = 200
#: Volume ratio that stands for folds in a logarithm.
SMALLEST_RATIO = 1e-3


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
    log_jacobian_std: float
    folded_contents_percent: float
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
    from .intensities import bounds  # torch, which the panel does without when it measures on the same places

    grid = coarse_grid(fixed.geometry)
    limits = bounds(moving)
    reference = np.clip(_at(fixed, grid), *bounds(fixed))
    before, after = (np.clip(array, *limits) for array in (initial.resample(moving, grid).array, _at(moved, grid)))
    points = grid.points()
    mapped = forward.apply_to_points(points)
    places = places_shown(moving.geometry, initial.apply_to_points(points), mapped)
    correlations, information = similarities(reference, (before, after), places)
    field = deformable_part(forward, grid)
    ratio = volume_ratio(forward, field)
    folds = folding(ratio)
    folded = _in_voxels_of(fixed.geometry, folds.count, field.geometry)
    of_contents = IDENTITY.resample(Image(ratio, field.geometry), grid, "nearest", 1.0).array[contents(reference)]
    residual = round_trip(grid, mapped, inverse)
    length = np.sqrt(np.einsum("...i,...i", field.array, field.array))  # many times faster than numpy's norm
    return Figures(
        similarity_before=correlations[0],
        similarity_after=correlations[1],
        mutual_information_before=information[0],
        mutual_information_after=information[1],
        folded_voxels=folded,
        folded_percent=100 * folded / np.prod(fixed.geometry.shape),
        jacobian_min=folds.minimum,
        jacobian_max=folds.maximum,
        log_jacobian_std=log_spread(of_contents),
        folded_contents_percent=folding(of_contents).percent,
        displacement_mean_mm=float(length.mean()),
        displacement_max_mm=float(length.max()),
        inverse_residual_mm=float(residual.mean()),
        inverse_residual_p99_mm=float(np.percentile(residual, 99)),
    )


def _in_voxels_of(geometry: Geometry, count: int, grid: Geometry) -> int:
    """How many voxels of a geometry fill the volume of `count` voxels of a grid; any part counts as one."""
    return int(np.ceil(count * np.prod(grid.spacing) / np.prod(geometry.spacing)))


def deformable_part(transform: Transform, grid: Geometry) -> DisplacementField:
    """The displacement field that a forward transform begins with, or on `grid` what an affine map amounts to."""
    first = transform.transforms[0] if isinstance(transform, CompositeTransform) else transform
    return first if isinstance(first, DisplacementField) else transform.to_displacement(grid)


def volume_ratio(transform: Transform, field: DisplacementField) -> np.ndarray:
    """(I, J, K), Jacobian determinant of the whole map, its affine part included, on the grid of its deformable part.

    Without the sign of a map that mirrors.

    Args:
        transform: the map.
        field: its `deformable_part`.
    """
    parts = transform.transforms if isinstance(transform, CompositeTransform) else ()
    matrices = [part.as_matrix() for part in parts[1:]] if parts and parts[0] is field else []
    known = [matrix for matrix in matrices if matrix is not None]
    if len(known) < len(matrices):
        return unmirrored(transform.to_displacement(field.geometry).jacobian_determinant().array)
    scale = np.prod([np.linalg.det(matrix[:3, :3]) for matrix in known])
    return unmirrored(field.jacobian_determinant().array * np.float32(scale))


def unmirrored(ratio: np.ndarray) -> np.ndarray:
    """The ratio of a map that mirrors everything as that of the same map before a mirror: nothing is folded by it."""
    return -ratio if np.median(ratio.ravel()[:: max(1, ratio.size // SAMPLES)]) < 0 else ratio


def log_spread(ratio: np.ndarray) -> float:
    """Standard deviation of the logarithm of volume ratios; folds count as `SMALLEST_RATIO`."""
    return float(np.log(np.maximum(ratio, SMALLEST_RATIO)).std())


Both = tuple[np.ndarray, np.ndarray]


def similarities(reference: np.ndarray, images: Both, places: Both) -> tuple[list[float], list[float]]:
    """Correlation and mutual information (nats) of one image with two others.

    Args:
        reference, images: (I, J, K).
        places: (I, J, K) bool, the voxels that count for each of the two.
    """
    pairs = list(zip(images, places))
    correlations = [correlation(reference, image, place) for image, place in pairs]
    return correlations, [mutual_information(reference, image, mask=place) for image, place in pairs]


def places_shown(moving: Geometry, before: np.ndarray, after: np.ndarray) -> Both:
    """The `compared_places` of a grid whose voxels lie at (I, J, K, 3) points of the moving space, before and after."""
    return compared_places(*(moving.holds(moving.world_to_voxel(points)) for points in (before, after)))


def compared_places(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a grid is compared with an image at two positions: at the same voxels, if these are most of what is seen.

    Args:
        before, after: (I, J, K) bool, where the image is seen at each position.

    Returns:
        The same for both if possible; all of the grid for a position that shows next to nothing.
    """
    shared, least = before & after, min(before.sum(), after.sum())
    if shared.sum() >= max(SHARED * least, FEWEST):
        return shared, shared
    everywhere = np.ones_like(before)
    return (before, after) if least >= FEWEST else (everywhere, everywhere)


def contents(array: np.ndarray) -> np.ndarray:
    """Voxels brighter than a tenth of the range from the minimum to the 99th percentile; all where these are none."""
    array = array.astype(np.float32)
    low = float(array.min())
    inside: np.ndarray = array > low + 0.1 * (float(np.percentile(array, 99)) - low)
    if not inside.any():
        inside[...] = True
    return inside


def round_trip(grid: Geometry, mapped: np.ndarray, inverse: Transform) -> np.ndarray:
    """Distances, mm, of places in the inner grid, which the forward transform mapped, from where they come back to."""
    inner = tuple(slice(n // 10, max(n - n // 10, n // 10 + 1)) for n in grid.shape)
    points = grid.points()[inner].reshape(-1, 3)
    back = inverse.apply_to_points(mapped[inner].reshape(-1, 3))
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
