"""NumPy arrays and masks: padding, repeating and cropping without interpolation, and distances to a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import GeometryError


def pad_centred(array: np.ndarray, shape: Sequence[int], value: float = 0) -> np.ndarray:
    """`array` in the middle of a larger one filled with `value`; an odd surplus goes to the end.

    Raises:
        GeometryError: `shape` is smaller along some axis, or has another number of axes.
    """
    if len(shape) != array.ndim or any(new < old for new, old in zip(shape, array.shape)):
        raise GeometryError(f"Cannot pad {array.shape} to {tuple(shape)}; give extents at least as large.")
    before = [(new - old) // 2 for new, old in zip(shape, array.shape)]
    width = [(first, new - old - first) for first, new, old in zip(before, shape, array.shape)]
    return np.pad(array, width, constant_values=value)


def zoom_nearest(array: np.ndarray, factors: float | Sequence[float]) -> np.ndarray:
    """`array` with `factors` times as many voxels per axis, each the nearest old one; corners stay corners."""
    from scipy.ndimage import zoom

    return zoom(array, factors, order=0)


def every_nth(array: np.ndarray, step: int) -> np.ndarray:
    """`array.ravel()[::step]`, without a copy of all of an array that is stored in another order."""
    if array.flags.c_contiguous:
        return array.ravel()[::step]
    return array[np.unravel_index(np.arange(0, array.size, step), array.shape)]


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that contains every set voxel: (I, J, K) bool -> slices, empty if no voxel is set."""
    box = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(set(range(mask.ndim)) - {axis})))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 0))
    return tuple(box)


def distance(mask: np.ndarray) -> np.ndarray:
    """Euclidean distance in voxels of every voxel outside `mask` to the mask; 0 inside, float64."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~np.asarray(mask, dtype=bool))


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in voxels across the edge of the mask: positive outside `mask`, negative inside, never 0, float64."""
    mask = np.asarray(mask, dtype=bool)
    return distance(mask) - distance(~mask)
