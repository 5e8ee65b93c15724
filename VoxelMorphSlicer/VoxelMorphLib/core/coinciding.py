"""Grids whose voxels coincide: arrays go from one to the other by permuting, flipping, cropping and padding alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

#: Voxels that are no further apart than this, in voxels, are one.
TOLERANCE_VOX = 1e-4


def copied(
    array: np.ndarray, matrix: np.ndarray, shape: Sequence[int], outside: float | None = None
) -> np.ndarray | None:
    """The values of an array at the voxels of another grid, where these are voxels of its own.

    Args:
        array: (I, J, K, ...).
        matrix: (4, 4), voxels of the other grid -> voxels of `array`.
        shape: (I', J', K') of the other grid.
        outside: value beyond `array`; None continues its nearest voxel.

    Returns:
        (I', J', K', ...), a new array of the same type; None where the voxels do not coincide, or the grids lie apart,
        so that the values have to be sampled.
    """
    whole = np.rint(matrix)
    turns = np.abs(whole[:3, :3])
    if not ((turns.sum(0) == 1) & (turns.sum(1) == 1)).all() or _distance_vox(matrix - whole, shape) > TOLERANCE_VOX:
        return None
    order = turns.argmax(0)  # axis of `array` that runs along each axis of the other grid
    steps = whole[order, range(3)].astype(int)
    starts = whole[order, 3].astype(int)
    view = array.transpose(*order, *range(3, array.ndim))[tuple(slice(None, None, step) for step in steps)]
    starts = [start if step > 0 else have - 1 - start for start, step, have in zip(starts, steps, view.shape)]
    ends = [start + extent for start, extent in zip(starts, shape)]
    inside = [(max(start, 0), min(end, have)) for start, end, have in zip(starts, ends, view.shape)]
    if any(low >= high for low, high in inside):
        return None
    margins = [(low - start, end - high) for (low, high), start, end in zip(inside, starts, ends)]
    margins += [(0, 0)] * (array.ndim - 3)
    part = view[tuple(slice(*ends) for ends in inside)]
    return np.pad(part, margins, "edge") if outside is None else np.pad(part, margins, constant_values=outside)


def _distance_vox(error: np.ndarray, shape: Sequence[int]) -> float:
    """Largest distance that a deviation of the matrix makes, at the corners of the grid."""
    corners = np.array(list(product(*[(0, n - 1) for n in shape])))
    return float(np.abs(corners @ error[:3, :3].T + error[:3, 3]).max())
