"""Anatomical slices of a voxel grid: which voxels a picture shows, which way up, and how large it is in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.geometry import Geometry
from ..core.image import Image

#: Per plane the RAS axes of the normal, of the screen's horizontal and of its vertical. Both screen axes run towards
#: the negative RAS direction (left to right: R->L or A->P; top to bottom: A->P or S->I), the radiological convention.
_PLANES = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))


@dataclass(frozen=True)
class Slice:
    """One slice of a grid along the voxel planes nearest to an anatomical plane.

    Args:
        name: "axial", "coronal" or "sagittal".
        geometry: grid that is cut.
        index: voxel along the normal.
        axes: array axes (normal, horizontal, vertical).
        flips: whether the horizontal and the vertical screen axis run against their array axis.
        letters: anatomical directions at the left, right, top and bottom edge.
    """

    name: str
    geometry: Geometry
    index: int
    axes: tuple[int, int, int]
    flips: tuple[bool, bool]
    letters: tuple[str, str, str, str]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm, voxel edge to voxel edge."""
        spacing = self.geometry.spacing
        _, horizontal, vertical = self.axes
        shape = self.geometry.shape
        return float(shape[horizontal] * spacing[horizontal]), float(shape[vertical] * spacing[vertical])

    @property
    def position(self) -> float:
        """RAS mm of the middle of the slice along its anatomical normal."""
        voxel = (np.array(self.geometry.shape) - 1) / 2
        voxel[self.axes[0]] = self.index
        return float(self.geometry.voxel_to_world(voxel)[_PLANES[self.name][0]])

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The slice of an (I, J, K, ...) array on the grid as (rows, columns, ...), first row on top."""
        return self.picture(np.take(array, self.index, axis=self.axes[0]))

    def picture(self, plane: np.ndarray) -> np.ndarray:
        """Turn what is left of a grid array after the normal is taken out to (rows, columns, ...)."""
        _, horizontal, vertical = self.axes
        picture = plane.swapaxes(0, 1) if horizontal < vertical else plane
        flip_horizontal, flip_vertical = self.flips
        return picture[:: -1 if flip_vertical else 1, :: -1 if flip_horizontal else 1]

    def slab(self, margin: int = 0) -> tuple[Geometry, int]:
        """The grid of this slice with up to `margin` neighbours on either side, and the slice's index in it."""
        normal = self.axes[0]
        first = max(self.index - margin, 0)
        last = min(self.index + margin, self.geometry.shape[normal] - 1)
        start, shape = np.zeros(3), list(self.geometry.shape)
        start[normal], shape[normal] = first, last - first + 1
        return self.geometry.shifted(start, shape), self.index - first


def anatomical_slices(geometry: Geometry, voxel: Sequence[float]) -> list[Slice]:
    """The axial, coronal and sagittal slice through a voxel.

    Args:
        geometry: grid to cut, of any orientation.
        voxel: (3,), voxel coordinates; rounded and kept inside the grid.
    """
    array_axis = {ras: axis for axis, (ras, _) in enumerate(geometry.axes_to_ras())}
    sign = dict(geometry.axes_to_ras())
    index = np.clip(np.rint(voxel), 0, np.array(geometry.shape) - 1).astype(int)
    slices = []
    for name, (normal, horizontal, vertical) in _PLANES.items():
        axes = (array_axis[normal], array_axis[horizontal], array_axis[vertical])
        flips = (sign[horizontal] > 0, sign[vertical] > 0)
        letters = (*_LETTERS[horizontal], *_LETTERS[vertical])
        slices.append(Slice(name, geometry, int(index[axes[0]]), axes, flips, letters))
    return slices


def centre_of_content(image: Image) -> np.ndarray:
    """(3,), voxel coordinates of the centre of mass of the intensities above the minimum."""
    low, size = float(image.array.min()), image.array.size
    sums = []
    for axis, extent in enumerate(image.array.shape):
        others = tuple(other for other in range(3) if other != axis)
        sums.append(image.array.sum(axis=others, dtype=np.float64) - low * size / extent)
    if sums[0].sum() <= 0:
        return (np.array(image.array.shape) - 1) / 2
    return np.array([np.arange(s.size) @ s / s.sum() for s in sums])
