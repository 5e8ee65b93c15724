"""Validation pairs and learned images as PNG, drawn like those of a registration report."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from ...core.geometry import Geometry
from ...core.image import Image
from ...core.transform import DisplacementField
from ...registration.network_space import standard_grid
from ...report.figures import agreement_figure, images_figure
from ...report.sheet import Sheet
from ...report.views import Window, anatomical_slices, centre_of_content, make_views
from ..options import TrainingConfig
from ..validation import Registered


class Throttle:
    """Says when slow work is due: the first time, and then once so many seconds have passed.

    Args:
        seconds: at least, between two times.
    """

    def __init__(self, seconds: float = 60.0):
        self.seconds, self._last = seconds, -float("inf")

    def __call__(self) -> bool:
        """Whether it is time; counts from now on if so."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True


def space_geometry(config: TrainingConfig, shape: tuple[int, ...]) -> Geometry:
    """The training space with its middle at the origin, for pictures; voxels of 1 mm where each image keeps its own."""
    space = config.network_space(shape, 1)
    return standard_grid(space, space.shape or shape)


def pair_pictures(pair: Registered, geometry: Geometry) -> tuple[bytes, bytes]:
    """Fixed, moving and moved image; and their differences before and after.

    Args:
        pair: on `geometry`.
        geometry: of three axes.
    """
    fixed, moving, moved = (Image(array, geometry) for array in (pair.fixed, pair.moving, pair.moved))
    millimetres = np.moveaxis(pair.displacement, 0, -1) @ geometry.affine[:3, :3].T
    views = make_views(fixed, moving, moved, DisplacementField(millimetres, geometry))
    return images_figure(views), agreement_figure(views)


def image_picture(name: str, array: np.ndarray, geometry: Geometry) -> bytes:
    """Three slices of one image."""
    return image_row({name: array}, geometry)


def image_row(arrays: Mapping[str, np.ndarray], geometry: Geometry) -> bytes:
    """Three slices of each of some images, through the middle of the first one's content.

    Args:
        arrays: (*shape) by title.
        geometry: of all of them.
    """
    images = [Image(array, geometry) for array in arrays.values()]
    slices = anatomical_slices(geometry, centre_of_content(images[0]))
    sheet = Sheet(slices, tuple(arrays))
    for column, image in enumerate(images):
        window = Window.of(image)
        for row, slice_ in enumerate(slices):
            width, height = slice_.size
            extent = (0, width, height, 0)
            shown = {"cmap": "gray", "vmin": 0, "vmax": 1, "aspect": "auto", "interpolation": "bilinear"}
            sheet.panel(row, column).imshow(window(slice_.cut(image.array)), extent=extent, **shown)
    return sheet.png()
