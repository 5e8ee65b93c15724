"""How good a registration is against what is known: overlap of labels, distance to the true position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.transform import Transform

_MOST_POINTS = 200_000


@dataclass(frozen=True)
class DisplacementError:
    """Distances in mm between where a transform puts points and where they belong."""

    mean: float
    percentile_95: float
    largest: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} mm (95th percentile {self.percentile_95:.2f} mm)"


def displacement_error(
    forward: Transform, truth: Transform, geometry: Geometry, inside: np.ndarray
) -> DisplacementError:
    """Compare two transforms at the voxel centres of a region.

    Args:
        forward: what was found, fixed -> moving.
        truth: what is true, fixed -> moving.
        geometry: grid of the fixed image.
        inside: (I, J, K) bool, not empty; of very many voxels an even selection is compared.
    """
    voxels = np.argwhere(inside)
    points = geometry.voxel_to_world(voxels[:: 1 + len(voxels) // _MOST_POINTS])
    distance = np.linalg.norm(forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    return DisplacementError(float(distance.mean()), float(np.percentile(distance, 95)), float(distance.max()))


def dice_by_label(fixed: LabelMap, other: LabelMap) -> dict[int, float]:
    """2 |A and B| / (|A| + |B|) for every label of the fixed label map; both on one grid."""
    return {int(label): _dice(fixed.array == label, other.array == label) for label in fixed.labels()}


def _dice(one: np.ndarray, two: np.ndarray) -> float:
    return float(2 * np.count_nonzero(one & two) / (np.count_nonzero(one) + np.count_nonzero(two)))


def foreground(image: Image) -> np.ndarray:
    """(I, J, K) bool, voxels brighter than a tenth of the way from the minimum to the 99th percentile."""
    low, high = float(image.array.min()), float(np.percentile(image.array, 99))
    return image.array > low + 0.1 * (high - low)
