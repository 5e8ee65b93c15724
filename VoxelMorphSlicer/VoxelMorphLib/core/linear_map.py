"""Sampling an array through a matrix, which needs no list of points and takes a quarter of the time.

Between parallel axes, where one axis after the other is interpolated, it takes a quarter of that again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product

import numpy as np
from scipy.ndimage import affine_transform

from .geometry import Geometry
from .parallel_grids import ParallelGrids


@dataclass(frozen=True, eq=False)
class LinearMap:
    """From the voxels of a grid to those of an array.

    Args:
        matrix: (4, 4), voxel coordinates -> voxel coordinates.
        shape: (I', J', K') of the grid.
    """

    matrix: np.ndarray
    shape: tuple[int, ...]

    def reach(self, extents: tuple[int, ...]) -> tuple[slice, ...]:
        """The box of the grid that holds all of its voxels inside an array of these extents; empty where none is."""
        ends = np.array(list(product(*[(-0.5, n - 0.5) for n in extents])))
        places = np.linalg.solve(self.matrix[:3, :3], (ends - self.matrix[:3, 3]).T)
        low = np.clip(np.floor(places.min(axis=1)), 0, self.shape).astype(int)
        high = np.clip(np.ceil(places.max(axis=1)) + 1, low, self.shape).astype(int)
        return tuple(slice(start, stop) for start, stop in zip(low, high))

    def sample(self, source: np.ndarray, slab: slice, order: int, mode: str) -> np.ndarray:
        """Values at the voxels of a slab along the first axis of the grid.

        Args:
            source: (I, J, K), spline coefficients for orders above 1.
            slab: of the grid.
            order, mode: as of `scipy.ndimage.map_coordinates`.

        Returns:
            (slab, J', K'), float64, or float32 where that is enough for the source.
        """
        if order == 1 and mode == "nearest" and self._parallel is not None:
            return self._parallel.sample(source[..., None], slab)[..., 0]
        linear, offset, shape = self._of(slab)
        return affine_transform(source, linear, offset, shape, np.float64, order, mode, prefilter=False)

    def outside(self, extents: tuple[int, ...], slab: slice) -> np.ndarray | None:
        """(slab, J', K') bool, what lies beyond the voxels of an array of these extents; None where nothing does."""
        linear, offset, shape = self._of(slab)
        corners = Geometry(shape, np.eye(4)).corners() @ linear.T + offset
        steps = [np.arange(n).reshape(-1, *[1] * (2 - axis)) for axis, n in enumerate(shape)]
        found = []
        for row, start, last, ends in zip(linear, offset, np.array(extents) - 0.5, corners.T):
            if ends.min() < -0.5 or ends.max() > last:
                places = sum(factor * step for factor, step in zip(row, steps)) + start
                found.append((places < -0.5) | (places > last))
        return reduce(np.logical_or, found) if found else None

    @cached_property
    def _parallel(self) -> ParallelGrids | None:
        return ParallelGrids.between(self.matrix, self.shape)

    def _of(self, slab: slice) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        linear = self.matrix[:3, :3]
        return linear, self.matrix[:3, 3] + slab.start * linear[:, 0], (slab.stop - slab.start, *self.shape[1:])
