"""Accuracy of a registration against known labels or a known transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.metrics import overlap
from ..core.transform import Transform

_MOST_POINTS = 200_000


@dataclass(frozen=True)
class DisplacementError:
    """Distances in mm between transformed points and their true positions."""

    mean: float
    percentile_95: float
    largest: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} mm (95th percentile {self.percentile_95:.2f} mm)"


def displacement_error(
    forward: Transform, truth: Transform, geometry: Geometry, inside: np.ndarray
) -> DisplacementError:
    """Compare a transform with the true one at the voxel centres of a region.

    Args:
        forward: transform to evaluate, fixed -> moving.
        truth: true transform, fixed -> moving.
        geometry: grid of the fixed image.
        inside: (I, J, K) bool, not empty; of a large region every n-th voxel is compared.
    """
    voxels = np.argwhere(inside)
    points = geometry.voxel_to_world(voxels[:: 1 + len(voxels) // _MOST_POINTS])
    distance = np.linalg.norm(forward.apply_to_points(points) - truth.apply_to_points(points), axis=-1)
    return DisplacementError(float(distance.mean()), float(np.percentile(distance, 95)), float(distance.max()))


def dice_by_label(fixed: LabelMap, other: Image) -> dict[int, float]:
    """Dice overlap of every label of a label map.

    Args:
        fixed: label map that stays where it is; on the way back that of the moving image.
        other: labels to compare, on the same grid.

    Raises:
        GeometryError: the shapes differ.
    """
    return dict(overlap(fixed.array, other.array, [int(label) for label in fixed.labels()]).by_label)


def foreground(image: Image) -> np.ndarray:
    """(I, J, K) bool: voxels brighter than a tenth of the range from the minimum to the 99th percentile."""
    low, high = float(image.array.min()), float(np.percentile(image.array, 99))
    return image.array > low + 0.1 * (high - low)
