"""An `Image` sampled on another grid: by interpolation at mapped points, or by copying where the voxels coincide."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from .arrays import every_nth
from .errors import ConfigError
from .geometry import Geometry
from .image import Image, LabelMap
from .label_vote import most_of
from .linear_map import LinearMap

#: Spline order of each interpolation; "cubic" is the interpolating B-spline.
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
#: How values continue beyond the border, for each order that interpolates.
_MODES = {1: "nearest", 3: "mirror"}
#: The interpolation of label maps that looks at all voxels around a place, see `label_vote`.
MULTILABEL = "multilabel"
#: Voxels that are mapped at a time; limits the float64 coordinates to about 12 MB.
SLAB_VOXELS = 1 << 19
#: Slabs that are mapped in parallel; each needs about 60 MB.
MOST_THREADS = 8
#: Voxels of a face, and of an image, that suffice to tell what the background is.
BORDER_SAMPLES, RANGE_SAMPLES = 2000, 100_000
#: A border is even where more than this share of it differs by less than this share of the range from its median.
MOST_OF_BORDER, EVEN = 0.75, 0.05
_FACES = tuple((slice(None),) * axis + (end,) for axis in range(3) for end in (0, -1))
#: Largest distance, in voxels, at which voxels of two grids coincide.
ALIGNED_VOX = 1e-4


def slabs(geometry: Geometry) -> Iterator[slice]:
    """Cut a grid along I into pieces of at most about `SLAB_VOXELS` voxels."""
    planes = max(1, SLAB_VOXELS // (geometry.shape[1] * geometry.shape[2]))
    for start in range(0, geometry.shape[0], planes):
        yield slice(start, min(start + planes, geometry.shape[0]))


def each_slab(geometry: Geometry, work: Callable[[slice], None]) -> None:
    """Call `work` for every slab of a grid, in parallel: numpy and scipy release Python's lock."""
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
    """Sample an image on a grid whose points are mapped into the image's space.

    Args:
        image: sampled image; a `LabelMap` is sampled by nearest neighbour unless `interpolation` is "multilabel".
        geometry: grid of the result.
        map_slab: returns for a slab along I the points (slab, J, K, 3), RAS mm, at which `image` is sampled.
        interpolation: "linear", "cubic" or "nearest"; "multilabel" for label maps alone.
        background: value outside the image; default `background_of` it, 0 for label maps.
        matrix: (4, 4), RAS mm of `geometry` -> RAS mm of `image`, if the map is linear: voxels that coincide are
            then copied, and others sampled without a list of points.

    Returns:
        An image of the same kind and voxel type; integer types are rounded and clipped to their range.
        Voxels reach half a spacing beyond the outermost centres, as in ITK and VTK.

    Raises:
        ConfigError: unknown interpolation, or one for label maps of an image.
    """
    order = _order(image, interpolation)
    if background is None:
        outside = 0 if isinstance(image, LabelMap) else background_of(image.array)
    else:
        outside = _as_type(float(background), image.array.dtype).item()
    if matrix is not None:
        to_voxels = image.geometry.world_to_voxel_affine @ matrix
        same = copy_if_aligned(image.array, to_voxels @ geometry.affine, geometry.shape, outside)
        if same is None and order > 0:
            same = _resample_straight(image.array, to_voxels, geometry, order, outside)
        if same is not None:
            return type(image)(same, geometry, image.name)
    source = _spline_coefficients(image.array, order)
    moved = np.empty(geometry.shape, image.array.dtype)
    votes = interpolation == MULTILABEL

    def fill(slab: slice) -> None:
        voxels = image.geometry.world_to_voxel(map_slab(slab))
        moved[slab] = _sample(source, voxels, order, outside, moved.dtype, votes)

    each_slab(geometry, fill)
    return type(image)(moved, geometry, image.name)


def background_of(array: np.ndarray, low: float = -np.inf, high: float = np.inf) -> float:
    """What continues an image (I, J, K) beyond its border: the value of the border where most of it has one.

    That of scans with a bright background, or with a dark one above single dead voxels. Dark backgrounds and crops out
    of the contents, which have no background, get the minimum, as models are trained with dark surroundings.

    Args:
        array: any real type.
        low, high: what lies beyond is taken for this first.
    """
    faces = [array[at] for at in _FACES if array.shape[len(at) - 1] > 1] or [array]  # a slice is no face of itself
    border = np.concatenate([face.ravel()[:: max(1, face.size // BORDER_SAMPLES)] for face in faces])
    sample = every_nth(array, max(1, array.size // RANGE_SAMPLES))
    border, sample, least = (np.clip(values, low, high) for values in (border, sample, array.min()))
    middle = np.sort(border)[border.size // 2]
    darkest, brightest = np.quantile(sample.astype(np.float64), (0.005, 0.995))
    even = EVEN * (brightest - darkest)
    is_even = (np.abs(border.astype(np.float64) - float(middle)) <= even).mean() > MOST_OF_BORDER
    return middle if is_even and float(middle) - float(least) > even else least


def copy_if_aligned(
    array: np.ndarray, matrix: np.ndarray, shape: Sequence[int], outside: float | None = None
) -> np.ndarray | None:
    """Copy an array onto another grid by permuting, flipping, cropping and padding, if the voxels coincide.

    Args:
        array: (I, J, K, ...).
        matrix: (4, 4), voxels of the other grid -> voxels of `array`.
        shape: (I', J', K') of the other grid.
        outside: value outside `array`; None repeats its nearest voxel.

    Returns:
        (I', J', K', ...), a new array of the same type; None if the voxels do not coincide or the grids do not
        overlap, so that the values must be interpolated.
    """
    whole = np.rint(matrix)
    turns = np.abs(whole[:3, :3])
    if not ((turns.sum(0) == 1) & (turns.sum(1) == 1)).all() or _distance_vox(matrix - whole, shape) > ALIGNED_VOX:
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


def _order(image: Image, interpolation: str) -> int:
    if interpolation == MULTILABEL and not isinstance(image, LabelMap):
        raise ConfigError(
            f"{image.name} is no label map, which the interpolation {MULTILABEL} needs. Choose one of "
            f"{', '.join(ORDERS)}."
        )
    if interpolation not in (*ORDERS, MULTILABEL):
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
    """The nearest type that scipy samples: native byte order, no booleans, no half or extended precision."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return dtype.newbyteorder("=")


def _sample(
    source: np.ndarray, voxels: np.ndarray, order: int, background: float, dtype: np.dtype, votes: bool = False
) -> np.ndarray:
    last = np.array(source.shape) - 0.5
    if votes:
        values = most_of(source, voxels)
    elif order == 0:  # by index: scipy would convert large label numbers to float64
        i, j, k = np.moveaxis(np.clip(np.floor(voxels + 0.5), 0, np.array(source.shape) - 1).astype(np.intp), -1, 0)
        values = source[i, j, k]
    else:
        values = map_coordinates(source, np.moveaxis(voxels, -1, 0), np.float64, order, _MODES[order], prefilter=False)
    values[_beyond(voxels, last)] = background
    return _as_type(values, dtype) if order > 0 else values


def _beyond(voxels: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(...) bool; one axis after the other, because `any` over an axis of three is slow."""
    outside = np.zeros(voxels.shape[:-1], bool)
    for axis, end in enumerate(last):
        outside |= voxels[..., axis] < -0.5
        outside |= voxels[..., axis] > end
    return outside


def _resample_straight(
    array: np.ndarray, to_voxels: np.ndarray, geometry: Geometry, order: int, background: float
) -> np.ndarray:
    """An array on a grid from whose RAS mm a matrix (4, 4) leads to its voxels; what lies beside it is not sampled."""
    moved = np.full(geometry.shape, background, array.dtype)
    box = LinearMap(to_voxels @ geometry.affine, geometry.shape).reach(array.shape)
    seen = moved[box]
    if not seen.size:
        return moved
    part = geometry.shifted([each.start for each in box], seen.shape)
    source, straight = _spline_coefficients(array, order), LinearMap(to_voxels @ part.affine, part.shape)

    def fill(slab: slice) -> None:
        values = straight.sample(source, slab, order, _MODES[order])
        outside = straight.outside(source.shape, slab)
        if outside is not None:
            values[outside] = background
        seen[slab] = _as_type(values, moved.dtype)

    each_slab(part, fill)
    return moved


def _as_type(values: np.ndarray | float, dtype: np.dtype) -> np.ndarray:
    """Values as a voxel type; rounded and clipped to its range if they become integers."""
    array = np.asarray(values)
    if dtype.kind in "iu" and array.dtype.kind == "f":
        limits = np.iinfo(dtype)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return array.astype(dtype, copy=False)


def _distance_vox(error: np.ndarray, shape: Sequence[int]) -> float:
    """Largest distance by which an error of the matrix moves a corner of the grid."""
    corners = np.array(list(product(*[(0, n - 1) for n in shape])))
    return float(np.abs(corners @ error[:3, :3].T + error[:3, 3]).max())
