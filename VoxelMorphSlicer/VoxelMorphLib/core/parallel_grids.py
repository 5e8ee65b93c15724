"""Linear interpolation between grids with parallel axes: one axis after the other, which costs a fraction of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Largest distance, in voxels of the sampled grid, by which axes that count as parallel may leave each other.
PARALLEL_VOX = 1e-4


@dataclass(frozen=True, eq=False)
class ParallelGrids:
    """Where the voxels of one grid lie on another one whose axes run along the same lines, in any order and direction.

    Args:
        order: axis of the sampled grid that runs along each axis of the other one.
        places: voxel coordinates on the sampled grid, for each axis of the other one.
    """

    order: tuple[int, ...]
    places: tuple[np.ndarray, ...]

    @classmethod
    def between(cls, matrix: np.ndarray, shape: Sequence[int]) -> ParallelGrids | None:
        """The relation of two grids; None where their axes are not parallel.

        Args:
            matrix: (4, 4), voxels of the other grid -> voxels of the sampled one.
            shape: (I', J', K') of the other grid.
        """
        size = np.abs(matrix[:3, :3])
        order = tuple(int(axis) for axis in size.argmax(0))
        rest = size * (np.array(shape) - 1)
        rest[order, range(3)] = 0
        if sorted(order) != [0, 1, 2] or rest.sum(axis=1).max() > PARALLEL_VOX:
            return None
        places = (matrix[row, column] * np.arange(shape[column]) + matrix[row, 3] for column, row in enumerate(order))
        return cls(order, tuple(places))

    def sample(self, array: np.ndarray, slab: slice = slice(None)) -> np.ndarray:
        """Values at the voxels of the other grid; beyond its ends the array continues with its border.

        Args:
            array: (I, J, K, C), of any real type, on the sampled grid.
            slab: of the first axis of the other grid.

        Returns:
            (slab, J', K', C), of the type of `array`, or of the floating one that holds its numbers.
        """
        values = array.transpose(*self.order, 3)
        for axis, places in enumerate(self.places):
            values = _along(values, places[slab] if axis == 0 else places, axis)
        return values


def _along(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    last = values.shape[axis] - 1
    inside = places.clip(0, last)
    lower = np.floor(inside).astype(np.intp).clip(0, max(last - 1, 0))
    floating = np.result_type(values, np.float32)
    weights = (inside - lower).astype(floating).reshape(-1, *[1] * (values.ndim - 1 - axis))
    below, above = (
        values.take(index, axis).astype(floating, copy=False) for index in (lower, np.minimum(lower + 1, last))
    )
    above -= below
    above *= weights
    below += above
    return below
