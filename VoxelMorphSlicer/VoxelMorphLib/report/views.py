"""What a report shows of a registration on one slice: grey values in 0..1 and maps of the transform in mm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.arrays import bounding_box
from ..core.image import Image
from ..core.transform import AffineTransform, Transform
from .measures import foreground
from .slices import Slice, anatomical_slices, centre_of_content

_MARGIN_MM = 12.0


@dataclass(frozen=True)
class Window:
    """The intensities shown as black and as white."""

    low: float
    high: float

    @classmethod
    def of(cls, image: Image) -> Window:
        """The 0.5 and 99.5 percentile of an image, or its range when most of it is one value."""
        stride = max(1, round((image.array.size / 2e6) ** (1 / 3)))
        sample = image.array[::stride, ::stride, ::stride]
        low, high = np.percentile(sample, (0.5, 99.5))
        if high <= low:
            low, high = image.array.min(), image.array.max()
        return cls(float(low), float(high))

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Intensities as 0 (black) to 1 (white), clipped."""
        width = max(self.high - self.low, np.finfo(np.float32).tiny)
        return np.clip((np.asarray(array, dtype=np.float32) - self.low) / width, 0, 1)


@dataclass(frozen=True)
class View:
    """Everything that is drawn of one slice, arrays (rows, columns).

    Args:
        slice: where it is.
        fixed: 0..1.
        moving: 0..1, resampled by header position only.
        moved: 0..1.
        landing: (rows, columns, 2), mm along the horizontal and vertical array axis where each point lands in moving.
        jacobian: local volume ratio of fixed -> moving; 0 or less where space folds.
        displacement: mm.
        error: distance to the true position in mm; None when the truth is unknown.
    """

    slice: Slice
    fixed: np.ndarray
    moving: np.ndarray
    moved: np.ndarray
    landing: np.ndarray
    jacobian: np.ndarray
    displacement: np.ndarray
    error: np.ndarray | None = None


def _view(slice_: Slice, images: dict[str, Image], windows: dict[str, Window], forward, truth) -> View:
    plane, _ = slice_.slab()
    by_header = AffineTransform(np.eye(4)).resample(images["moving"], plane)
    slab, middle = slice_.slab(margin=1)
    field = forward.to_displacement(slab)

    def cut(array: np.ndarray) -> np.ndarray:
        return slice_.picture(np.take(array, middle, axis=slice_.axes[0]))

    points = slab.points()
    landing = points + field.array
    along_axes = (landing - slab.origin) @ slab.direction[:, slice_.axes[1:]]
    error = None if truth is None else np.linalg.norm(landing - truth.apply_to_points(points), axis=-1)
    return View(
        slice=slice_,
        fixed=windows["fixed"](slice_.cut(images["fixed"].array)),
        moving=windows["moving"](slice_.picture(by_header.array.squeeze(axis=slice_.axes[0]))),
        moved=windows["moving"](slice_.cut(images["moved"].array)),
        landing=cut(along_axes),
        jacobian=cut(field.jacobian_determinant().array),
        displacement=cut(np.linalg.norm(field.array, axis=-1)),
        error=None if error is None else cut(error),
    )


def _content_box(image: Image) -> tuple[slice, ...]:
    """The voxels around what an image shows, with a margin of 12 mm; air around a head only makes pictures small."""
    margins = [math.ceil(_MARGIN_MM / spacing) for spacing in image.geometry.spacing]
    box = zip(bounding_box(foreground(image)), margins)
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part, margin in box)


def _crop(image: Image, box: tuple[slice, ...]) -> Image:
    array = image.array[box]
    return Image(array, image.geometry.shifted([part.start for part in box], array.shape), image.name)


def make_views(
    fixed: Image, moving: Image, moved: Image, forward: Transform, truth: Transform | None = None
) -> list[View]:
    """Cut the three anatomical slices through the middle of what the fixed image shows.

    Args:
        fixed: any geometry.
        moving: any geometry.
        moved: on the fixed geometry.
        forward: fixed -> moving, RAS mm.
        truth: the transform that `forward` should be, if known.
    """
    box = _content_box(fixed)
    images = {"fixed": _crop(fixed, box), "moving": moving, "moved": _crop(moved, box)}
    windows = {"fixed": Window.of(fixed), "moving": Window.of(moving)}
    slices = anatomical_slices(images["fixed"].geometry, centre_of_content(images["fixed"]))
    return [_view(slice_, images, windows, forward, truth) for slice_ in slices]
