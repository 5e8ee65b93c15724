"""What is measured of a pair of maps, whoever made them: one code path, on the native grids of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from VoxelMorphLib.core.arrays import bounding_box
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.metrics import folding, overlap, surface_distances
from VoxelMorphLib.core.transform import Transform

#: Of a larger region every n-th voxel makes the round trip.
MOST_POINTS = 200_000


@dataclass(frozen=True)
class Agreement:
    """How well moved labels fit.

    Args:
        dice: mean over the labels.
        hd95_mm: mean over the labels that the moved map still has.
        lost: labels that are gone from the moved map.
    """

    dice: float
    hd95_mm: float
    lost: tuple[int, ...] = ()


def agreement(forward: Transform, fixed: LabelMap, moving: LabelMap, labels: Sequence[int] | None = None) -> Agreement:
    """Move labels by nearest neighbour onto the fixed grid and compare them with the labels there.

    Args:
        forward: fixed -> moving.
        fixed, moving: label maps, each on its own grid.
        labels: those that count, as far as both maps have them; None takes all that both have.
    """
    common = set(fixed.labels().tolist()) & set(moving.labels().tolist())
    wanted = sorted(common if labels is None else common & set(labels))
    moved = forward.resample(moving, fixed.geometry).array
    dice = overlap(fixed.array, moved, wanted).mean
    distances, lost = [], []
    for label in wanted:
        try:
            distances.append(_hd95(fixed.array == label, moved == label, fixed.geometry))
        except GeometryError:
            lost.append(label)
    return Agreement(dice, float(np.mean(distances)) if distances else float("nan"), tuple(lost))


def _hd95(first: np.ndarray, second: np.ndarray, geometry: Geometry) -> float:
    """In the smallest box around both, as most labels are small."""
    box = bounding_box(first | second)
    return surface_distances(first[box], second[box], spacing=geometry.spacing).percentile95


@dataclass(frozen=True)
class Regularity:
    """How a map changes volumes.

    Args:
        folded_percent: of the voxels of the region, those whose determinant is not positive.
        log_jacobian_std: of the others, the standard deviation of the logarithm of the determinant.
    """

    folded_percent: float
    log_jacobian_std: float


def regularity(forward: Transform, grid: Geometry, inside: np.ndarray) -> Regularity:
    """The Jacobian determinant of the whole map, linear part included.

    The derivatives are those of the map between voxels, so that grids of any handedness and direction give the same;
    ITK's filter differentiates along the axes of the array and takes them for those of the patient.

    Args:
        forward: fixed -> moving.
        grid: of the fixed image.
        inside: (I, J, K) bool, where it counts.
    """
    determinant = forward.to_displacement(grid).jacobian_determinant().array
    positive = determinant[inside & (determinant > 0)]
    spread = float(np.log(positive).std()) if positive.size else float("nan")
    return Regularity(folding(determinant, inside).percent, spread)


@dataclass(frozen=True)
class RoundTrip:
    """How far points are from where they began after both maps, mm."""

    mean_mm: float
    p99_mm: float


def round_trip(
    forward: Transform, inverse: Transform, fixed: Geometry, moving: Geometry, inside: np.ndarray
) -> RoundTrip:
    """Bring voxels of a region to the moving image and back; those that leave its grid do not count.

    Args:
        forward, inverse: fixed -> moving, and back.
        fixed, moving: grids.
        inside: (I, J, K) bool on the fixed grid.
    """
    voxels = np.argwhere(inside)
    points = fixed.voxel_to_world(voxels[:: 1 + len(voxels) // MOST_POINTS])
    there = forward.apply_to_points(points)
    index = moving.world_to_voxel(there)
    stays = ((index >= 0) & (index <= np.array(moving.shape) - 1)).all(-1)
    if not stays.any():
        return RoundTrip(float("nan"), float("nan"))
    distance = np.linalg.norm(inverse.apply_to_points(there[stays]) - points[stays], axis=-1)
    return RoundTrip(float(distance.mean()), float(np.percentile(distance, 99)))
