"""Evaluation of a registration: overlap, surface and point distances, folding, similarity. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import GeometryError

if TYPE_CHECKING:
    from .transform import Transform


@dataclass(frozen=True)
class Overlap:
    """Dice overlap per label.

    Args:
        by_label: label number -> Dice overlap 0 to 1, for labels that occur in at least one of the maps.
        absent: requested labels that occur in neither map; they do not count.
    """

    by_label: Mapping[int, float]
    absent: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the labels; NaN if there are none."""
        return float(np.mean(list(self.by_label.values()))) if self.by_label else float("nan")


@dataclass(frozen=True)
class Folding:
    """Folding of a transform, where it turns space inside out.

    Args:
        count: voxels whose Jacobian determinant is not positive.
        percent: their share of all voxels.
        minimum, maximum: of the determinant.
    """

    count: int
    percent: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Distances:
    """Distribution of distances, in the unit of the input."""

    mean: float
    median: float
    percentile95: float
    maximum: float


def dice(
    first: np.ndarray, second: np.ndarray, labels: Sequence[int] | None = None, include_zero: bool = False
) -> np.ndarray:
    """Dice overlap 2 |A and B| / (|A| + |B|) of each label as an array, as in the original's evaluation; see `overlap`.

    A label that occurs in neither map counts as 0. The grids are not compared: check their `Geometry` first.

    Args:
        first, second: label maps of the same shape.
        labels: which labels, in this order; None takes all of both maps, ascending.
        include_zero: keep label 0, the background.

    Returns:
        (number of labels,) float64; 0 for a label that occurs in neither.

    Raises:
        GeometryError: the shapes differ.
    """
    counts = _label_counts(first, second)
    wanted = sorted({*counts[0], *counts[1]}) if labels is None else list(labels)
    wanted = [label for label in wanted if include_zero or label != 0]
    return np.array([_dice_of(label, counts) for label in wanted], dtype=np.float64)


def overlap(first: np.ndarray, second: np.ndarray, labels: Sequence[int] | None = None) -> Overlap:
    """Dice overlap per label without the background; labels that occur in neither map are listed and do not count.

    The grids are not compared: check their `Geometry` first.

    Args:
        first, second: label maps of the same shape.
        labels: which labels; None takes all of both maps.

    Raises:
        GeometryError: the shapes differ.
    """
    counts = _label_counts(first, second)
    present = {int(label) for label in (*counts[0], *counts[1])} - {0}
    wanted = sorted(present if labels is None else {int(label) for label in labels} - {0})
    return Overlap(
        {label: _dice_of(label, counts) for label in wanted if label in present},
        tuple(label for label in wanted if label not in present),
    )


def volume_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """How alike the volumes of two masks are, wherever these lie: 1 - |A - B| / (A + B), 0 to 1; 1 if both are empty.

    Raises:
        GeometryError: the shapes differ.

    Source: Taha and Hanbury, BMC Medical Imaging 2015, doi:10.1186/s12880-015-0068-x.
    """
    _check_same_shape(first, second)
    a, b = (int(np.count_nonzero(mask)) for mask in (first, second))
    return 1.0 - abs(a - b) / (a + b) if a + b else 1.0


def folding(jacobian: np.ndarray, mask: np.ndarray | None = None) -> Folding:
    """Summary of a Jacobian determinant, over the voxels of `mask` if one is given.

    Raises:
        GeometryError: the mask has another shape or no voxel.
    """
    values = _inside(np.asarray(jacobian), mask)
    count = int((values <= 0).sum())
    return Folding(count, 100.0 * count / values.size, float(values.min()), float(values.max()))


def target_registration_error(
    fixed_points: np.ndarray, moving_points: np.ndarray, transform: Transform | None = None
) -> np.ndarray:
    """(P,) mm: distance of each mapped fixed landmark from the corresponding moving landmark.

    Args:
        fixed_points, moving_points: (P, 3), RAS mm, same order.
        transform: fixed -> moving; None gives the error before registration.

    Raises:
        GeometryError: the shapes differ.
    """
    _check_same_shape(fixed_points, moving_points)
    mapped = fixed_points if transform is None else transform.apply_to_points(np.asarray(fixed_points, np.float64))
    return np.linalg.norm(np.subtract(mapped, moving_points, dtype=np.float64), axis=-1)


def surface_distances(first: np.ndarray, second: np.ndarray, spacing: Sequence[float] = (1, 1, 1)) -> Distances:
    """Distances between the surfaces of two masks, both ways; mean is the ASSD, percentile95 the HD95.

    Args:
        first, second: (*shape), bool.
        spacing: mm, per axis.

    Raises:
        GeometryError: the shapes differ or a mask is empty.
    """
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree

    _check_same_shape(first, second)
    masks = [np.asarray(mask, dtype=bool) for mask in (first, second)]
    if not all(mask.any() for mask in masks):
        raise GeometryError("A mask without voxels has no surface. Choose a label that occurs in both maps.")
    surfaces = [np.argwhere(mask & ~binary_erosion(mask)) * tuple(spacing)[: mask.ndim] for mask in masks]
    trees = [cKDTree(surface) for surface in surfaces]
    return _distances(np.concatenate([trees[1].query(surfaces[0])[0], trees[0].query(surfaces[1])[0]]))


def correlation(first: np.ndarray, second: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Normalised cross-correlation of two whole images, -1 to 1; 0 if one is constant.

    Raises:
        GeometryError: the shapes differ or the mask has no voxel.
    """
    a, b = (values - values.mean() for values in _pair(first, second, mask))
    norm = np.sqrt((a @ a) * (b @ b))
    return float(np.clip((a @ b) / norm, -1, 1)) if norm > 0 else 0.0


def mutual_information(
    first: np.ndarray, second: np.ndarray, bins: int = 64, mask: np.ndarray | None = None, normalised: bool = False
) -> float:
    """Mutual information of the intensities of two images, nats, from a histogram over their ranges.

    Args:
        first, second: images of the same shape.
        bins: per image.
        mask: voxels that count.
        normalised: (H(first) + H(second)) / H(first, second), 1 to 2; 1 if both are constant.

    Raises:
        GeometryError: the shapes differ or the mask has no voxel.
    """
    joint, _, _ = np.histogram2d(*_pair(first, second, mask), bins)
    if not normalised:
        return information(joint)
    together = _entropy(joint)
    return (_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / together if together > 0 else 1.0


def information(joint: np.ndarray) -> float:
    """Mutual information, nats, in a joint histogram (bins, bins) of counts; 0 without any."""
    count = joint.sum()
    if not count:
        return 0.0
    own, others = (_count_log_count(joint.sum(axis)) for axis in (0, 1))
    return float((_count_log_count(joint) - own - others) / count + np.log(count))


def _count_log_count(counts: np.ndarray) -> float:
    """Sum of n log n: as an entropy, without the shares, which take twice the time."""
    return float((counts * np.log(np.where(counts > 0, counts, 1))).sum())


def _entropy(counts: np.ndarray) -> float:
    """Of a histogram, nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _label_counts(first: np.ndarray, second: np.ndarray) -> tuple[dict, dict, dict]:
    """Number of voxels per label in the first map, in the second, and in both at the same place."""
    _check_same_shape(first, second)
    first, second = np.asarray(first), np.asarray(second)
    counted = (np.unique(array, return_counts=True) for array in (first, second, first[first == second]))
    first_counts, second_counts, shared = (dict(zip(labels.tolist(), n.tolist())) for labels, n in counted)
    return first_counts, second_counts, shared


def _dice_of(label: int, counts: tuple[dict, dict, dict]) -> float:
    first, second, shared = (part.get(label, 0) for part in counts)
    return 2.0 * shared / (first + second) if first + second else 0.0


def _distances(values: np.ndarray) -> Distances:
    median, percentile95 = np.percentile(values, (50, 95))
    return Distances(float(values.mean()), float(median), float(percentile95), float(values.max()))


def _pair(first: np.ndarray, second: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    _check_same_shape(first, second)
    a, b = (_inside(np.asarray(image, dtype=np.float64), mask).ravel() for image in (first, second))
    return a, b


def _inside(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is not None:
        _check_same_shape(values, mask)
        values = values[np.asarray(mask, dtype=bool)]
    if not values.size:
        raise GeometryError("No voxel is left to compare. Choose a larger mask.")
    return values


def _check_same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if np.shape(first) != np.shape(second):
        raise GeometryError(
            f"Shapes {np.shape(first)} and {np.shape(second)} differ. Resample one onto the grid of the other."
        )
