"""Image and voxel coordinates -> interpolated values: the one place that samples an `Image` at points."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from .coinciding import copied
from .errors import ConfigError
from .geometry import Geometry
from .image import Image, LabelMap

#: Spline order of each interpolation; "cubic" is the interpolating B-spline.
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
#: Voxels that are mapped at a time; bounds the float64 coordinates to about 12 MB.
SLAB_VOXELS = 1 << 19
#: Slabs that are mapped at once; each needs about 60 MB meanwhile.
MOST_THREADS = 8


def slabs(geometry: Geometry) -> Iterator[slice]:
    """Cut a grid along I into pieces of at most about `SLAB_VOXELS` voxels."""
    planes = max(1, SLAB_VOXELS // (geometry.shape[1] * geometry.shape[2]))
    for start in range(0, geometry.shape[0], planes):
        yield slice(start, min(start + planes, geometry.shape[0]))


def each_slab(geometry: Geometry, work: Callable[[slice], None]) -> None:
    """Call `work` for every slab of a grid, on all processors: numpy and scipy compute without Python's lock."""
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for _done in pool.map(work, slabs(geometry)):
            pass  # an error of `work` is raised here


def slab_points(geometry: Geometry, slab: slice) -> np.ndarray:
    """(slab, J, K, 3), RAS mm of the voxel centres whose index along I lies in `slab`."""
    extents = (slab.stop - slab.start, *geometry.shape[1:])
    return geometry.shifted((slab.start, 0, 0), extents).points()


def resample_mapped(
    image: Image,
    geometry: Geometry,
    map_slab: Callable[[slice], np.ndarray],
    interpolation: str = "linear",
    background: float | None = None,
    matrix: np.ndarray | None = None,
) -> Image:
    """Fill a grid with the values that an image has at mapped points.

    Args:
        image: what is sampled; a `LabelMap` is always sampled by nearest neighbour.
        geometry: grid of the result.
        map_slab: gives for a slab along I the points (slab, J, K, 3), RAS mm, at which `image` is sampled.
        interpolation: "linear", "cubic" or "nearest".
        background: value outside the image; default its minimum, 0 for label maps.
        matrix: (4, 4), RAS mm of `geometry` -> RAS mm of `image`, where the map is linear: voxels that coincide are
            copied then.

    Returns:
        An image of the same kind and voxel type; integer types are rounded and clipped to their range.
        Voxels reach half a spacing beyond the outermost centres, as in ITK and VTK.

    Raises:
        ConfigError: unknown interpolation.
    """
    order = _order(image, interpolation)
    if background is None:
        background = 0 if isinstance(image, LabelMap) else image.array.min()
    else:
        background = _as_type(np.float64(background), image.array.dtype)
    if matrix is not None:
        between = image.geometry.world_to_voxel_affine @ matrix @ geometry.affine
        same = copied(image.array, between, geometry.shape, background)
        if same is not None:
            return type(image)(same, geometry, image.name)
    source = _spline_coefficients(image.array, order)
    moved = np.empty(geometry.shape, image.array.dtype)

    def fill(slab: slice) -> None:
        voxels = image.geometry.world_to_voxel(map_slab(slab))
        moved[slab] = _sample(source, voxels, order, background, moved.dtype)

    each_slab(geometry, fill)
    return type(image)(moved, geometry, image.name)


def _order(image: Image, interpolation: str) -> int:
    if interpolation not in ORDERS:
        raise ConfigError(f"Unknown interpolation {interpolation!r}. Choose one of {', '.join(ORDERS)}.")
    return 0 if isinstance(image, LabelMap) else ORDERS[interpolation]


def _spline_coefficients(array: np.ndarray, order: int) -> np.ndarray:
    if order == 0:
        return array
    array = array.astype(_sampled_type(array.dtype), copy=False)
    if order == 1:
        return array
    return spline_filter(array, order, output=np.float64 if array.itemsize > 4 else np.float32, mode="mirror")


def _sampled_type(dtype: np.dtype) -> np.dtype:
    """The nearest type that scipy samples: native byte order, no truth values, no half or extended precision."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return dtype.newbyteorder("=")


def _sample(source: np.ndarray, voxels: np.ndarray, order: int, background: float, dtype: np.dtype) -> np.ndarray:
    last = np.array(source.shape) - 0.5
    if order == 0:  # by index: scipy would pass large label numbers through float64
        i, j, k = np.moveaxis(np.clip(np.floor(voxels + 0.5), 0, np.array(source.shape) - 1).astype(np.intp), -1, 0)
        values = source[i, j, k]
    else:
        mode = "nearest" if order == 1 else "mirror"
        values = map_coordinates(source, np.moveaxis(voxels, -1, 0), np.float64, order, mode, prefilter=False)
    values[((voxels < -0.5) | (voxels > last)).any(axis=-1)] = background
    return _as_type(values, dtype) if order > 0 else values


def _as_type(values: np.ndarray | float, dtype: np.dtype) -> np.ndarray:
    """Values as a voxel type; where they become integers they are rounded and clipped to the range."""
    values = np.asarray(values)
    if dtype.kind in "iu" and values.dtype.kind == "f":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype, copy=False)
