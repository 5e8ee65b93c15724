"""Views of a registration on anatomical slices: grey values in 0..1 and maps of the transform in mm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import bounding_box
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.transform import IDENTITY, Transform
from ..registration.planes import onto_plane
from .measures import foreground

#: RAS axes of the normal, the horizontal and the vertical of each plane. Both screen axes run towards the negative RAS
#: direction (left to right: R->L or A->P; top to bottom: A->P or S->I), the radiological convention.
_PLANES = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
_MARGIN_MM = 12.0


@dataclass(frozen=True)
class Slice:
    """One slice of a grid, along its voxel planes closest to an anatomical plane.

    Args:
        name: "axial", "coronal" or "sagittal".
        geometry: grid of the volume.
        index: of the slice along the normal.
        axes: array axes (normal, horizontal, vertical).
        flips: whether the horizontal and the vertical screen axis run opposite to their array axis.
        letters: anatomical directions of the left, right, top and bottom edge.
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
        """RAS coordinate in mm of the slice centre along the anatomical normal."""
        voxel = (np.array(self.geometry.shape) - 1) / 2
        voxel[self.axes[0]] = self.index
        return float(self.geometry.voxel_to_world(voxel)[_PLANES[self.name][0]])

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The slice of an (I, J, K, ...) array on the grid as (rows, columns, ...), first row on top."""
        return self.picture(np.take(array, self.index, axis=self.axes[0]))

    def picture(self, plane: np.ndarray) -> np.ndarray:
        """A plane of a grid array, the normal axis removed, as (rows, columns, ...), first row on top."""
        _, horizontal, vertical = self.axes
        picture = plane.swapaxes(0, 1) if horizontal < vertical else plane
        flip_horizontal, flip_vertical = self.flips
        return picture[:: -1 if flip_vertical else 1, :: -1 if flip_horizontal else 1]

    def slab(self, margin: int = 0) -> tuple[Geometry, int]:
        """Grid of this slice with up to `margin` neighbours on either side, and index of the slice in that grid."""
        normal = self.axes[0]
        first = max(self.index - margin, 0)
        last = min(self.index + margin, self.geometry.shape[normal] - 1)
        start, shape = [0, 0, 0], list(self.geometry.shape)
        start[normal], shape[normal] = first, last - first + 1
        return self.geometry.shifted(start, shape), self.index - first


def anatomical_slices(geometry: Geometry, voxel: Sequence[float] | np.ndarray) -> list[Slice]:
    """Axial, coronal and sagittal slice through a voxel.

    Args:
        geometry: grid of any orientation.
        voxel: (3,), voxel coordinates; rounded and clipped to the grid.
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
    """(3,), voxel coordinates of the centre of mass; intensities count from the minimum."""
    low, size = float(image.array.min()), image.array.size
    sums = []
    for axis, extent in enumerate(image.array.shape):
        others = tuple(other for other in range(3) if other != axis)
        sums.append(image.array.sum(axis=others, dtype=np.float64) - low * size / extent)
    if sums[0].sum() <= 0:
        return (np.array(image.array.shape) - 1) / 2
    return np.array([np.arange(s.size) @ s / s.sum() for s in sums])


@dataclass(frozen=True)
class Window:
    """Intensities that are shown as black and as white."""

    low: float
    high: float

    @classmethod
    def of(cls, image: Image) -> Window:
        """From the 0.5th to the 99.5th percentile of an image, or its range when both are equal."""
        stride = max(1, round((image.array.size / 2e6) ** (1 / 3)))
        sample = image.array[::stride, ::stride, ::stride]
        low, high = np.percentile(sample, (0.5, 99.5))
        if high <= low:
            low, high = image.array.min(), image.array.max()
        return cls(float(low), float(high))

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Intensities as 0 (black) to 1 (white), clipped."""
        width = max(self.high - self.low, float(np.finfo(np.float32).tiny))
        return np.clip((np.asarray(array, dtype=np.float32) - self.low) / width, 0, 1)


@dataclass(frozen=True)
class View:
    """Everything that is drawn of one slice; arrays are (rows, columns).

    Args:
        slice: position and orientation.
        fixed: 0..1.
        moved: 0..1.
        moving: 0..1, resampled by header position only; None where the image is unknown.
        bent: what the transform does; None where it is unknown.
    """

    slice: Slice
    fixed: np.ndarray
    moved: np.ndarray
    moving: np.ndarray | None = None
    bent: Bent | None = None


@dataclass(frozen=True)
class Bent:
    """What a transform does on one slice; arrays are (rows, columns).

    Args:
        landing: (rows, columns, 2), position in moving of each point, mm along the horizontal and vertical array axis.
        jacobian: Jacobian determinant of fixed -> moving; 0 or less where the transform folds.
        displacement: magnitude in mm.
        error: distance to the true position in mm; None when the truth is unknown.
    """

    landing: np.ndarray
    jacobian: np.ndarray
    displacement: np.ndarray
    error: np.ndarray | None = None


def make_views(
    fixed: Image,
    moving: Image | None,
    moved: Image,
    forward: Transform | None = None,
    truth: Transform | None = None,
) -> list[View]:
    """Views of the three anatomical slices through the centre of the fixed image's content; of a slice only its own.

    Args:
        fixed: any geometry.
        moving: any geometry; None where only the result is known.
        moved: on the fixed geometry.
        forward: fixed -> moving, RAS mm; None where it is unknown.
        truth: true transform fixed -> moving, if known.
    """
    box = _content_box(fixed)
    seen = _Seen(_crop(fixed, box), moving, _crop(moved, box), Window.of(fixed), Window.of(moving or moved))
    slices = anatomical_slices(seen.fixed.geometry, centre_of_content(seen.fixed))
    normal = fixed.geometry.flat_axis
    if normal is not None:
        slices = [each for each in slices if each.axes[0] == normal]
    return [seen.view(slice_, None if forward is None else _bent(slice_, forward, truth)) for slice_ in slices]


@dataclass(frozen=True, eq=False)
class _Seen:
    """The images of all views with the windows of their intensities; `fixed` and `moved` are cropped."""

    fixed: Image
    moving: Image | None
    moved: Image
    fixed_window: Window
    moving_window: Window

    def view(self, slice_: Slice, bent: Bent | None) -> View:
        """One slice."""
        return View(
            slice=slice_,
            fixed=self.fixed_window(slice_.cut(self.fixed.array)),
            moved=self.moving_window(slice_.cut(self.moved.array)),
            moving=None if self.moving is None else self.moving_window(_by_header(self.moving, slice_)),
            bent=bent,
        )


def _by_header(image: Image, slice_: Slice) -> np.ndarray:
    plane, _ = slice_.slab()
    is_slice = slice_.geometry.flat_axis is not None and image.geometry.flat_axis is not None
    headers = onto_plane(plane, image.geometry) if is_slice else IDENTITY
    return slice_.picture(headers.resample(image, plane).array.squeeze(axis=slice_.axes[0]))


def _bent(slice_: Slice, forward: Transform, truth: Transform | None) -> Bent:
    slab, middle = slice_.slab(margin=1)
    field = forward.to_displacement(slab)

    def cut(array: np.ndarray) -> np.ndarray:
        return slice_.picture(np.take(array, middle, axis=slice_.axes[0]))

    points = slab.points()
    landing = points + field.array
    along_axes = (landing - slab.origin) @ slab.direction[:, slice_.axes[1:]]
    error = None if truth is None else np.linalg.norm(landing - truth.apply_to_points(points), axis=-1)
    return Bent(
        landing=cut(along_axes),
        jacobian=cut(field.jacobian_determinant().array),
        displacement=cut(np.linalg.norm(field.array, axis=-1)),
        error=None if error is None else cut(error),
    )


def _content_box(image: Image) -> tuple[slice, ...]:
    """The foreground of an image with a margin: air around it would only make pictures small."""
    margins = [math.ceil(_MARGIN_MM / spacing) for spacing in image.geometry.spacing]
    box = zip(bounding_box(foreground(image)), margins)
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part, margin in box)


def _crop(image: Image, box: tuple[slice, ...]) -> Image:
    array = image.array[box]
    return Image(array, image.geometry.shifted([part.start for part in box], array.shape), image.name)
