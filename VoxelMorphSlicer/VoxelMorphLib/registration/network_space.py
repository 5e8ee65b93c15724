"""Images in the patient to tensors on the grid and scale of a network, and its displacement back to millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ..core.config import NetworkSpace
from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import background_of, copy_if_aligned, slabs
from ..core.parallel_grids import ParallelGrids
from ..core.spatial import sample_at
from ..core.tensors import as_array, as_tensor
from ..core.transform import IDENTITY, AffineTransform, DisplacementField, Transform
from .averaging import averaged
from .intensities import CLEARLY, without_outliers
from .intensity_scale import IntensityScale, percentiles
from .masks import hide_outside

#: mm kept around the contents of an image when the grid is fitted to them; the displacement fades out there.
MARGIN_MM = 16.0
#: Voxels kept at least, where these are large.
MARGIN_VOX = 8.0
#: Voxels of a fixed image up to which fields have its grid; beyond it both directions would take more than 0.5 GB.
LARGEST_FIELD = 20_000_000
#: Averaged blocks of voxels along a voxel of a coarser grid, at least; only then they come near a Gaussian.
BLOCKS_ALONG = 2
#: Voxels of a grid around it that smoothing carries into it.
AROUND = 3
#: Contents are what rises this far from the minimum towards the 99.5th percentile.
FOREGROUND_FRACTION = 0.1


def network_grid(fixed: Image, space: NetworkSpace) -> Geometry:
    """The grid for one pair: the fixed image's own axes, permuted and flipped towards `space.orientation`.

    An axis whose field of view fits into `space.shape` is centred in it by whole voxels, so that an image stored as
    the model was trained is not interpolated. A longer axis is placed on the image's contents, and lengthened to the
    next multiple when these do not fit, unless `space.lengthen` says that they are cut. Without `space.shape` the grid
    is fitted to the contents.

    Args:
        fixed: the image whose voxels the displacement will belong to.
        space: what the model expects.

    Returns:
        A grid over the fixed image, each extent a multiple of `space.multiple`.
    """
    whole = whole_grid(fixed.geometry, space)
    low, high = _foreground_box(fixed, whole)
    wanted = space.shape or (1, 1, 1)
    axes = [
        _place(n, target, space, (low[a], high[a]), max(MARGIN_MM / whole.spacing[a], MARGIN_VOX))
        for a, (n, target) in enumerate(zip(whole.shape, wanted))
    ]
    return whole.shifted([start for start, _extent in axes], [extent for _start, extent in axes])


def standard_grid(space: NetworkSpace, shape: Sequence[int]) -> Geometry:
    """A grid of a model's space with its middle at the origin; voxels of 1 mm where each image keeps its own."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(space.orientation):
        place = "RLAPSI".find(letter)
        affine[place // 2, axis] = (space.voxel_size or 1.0) * (-1 if place % 2 else 1)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(tuple(shape), affine)


def training_grid(image: Image, space: NetworkSpace) -> Geometry:
    """`network_grid`, cut about its middle to the extents that all images of a training share.

    Args:
        image: whose contents are placed in it.
        space: with its `shape`.
    """
    assert space.shape is not None
    grid = network_grid(image, space)
    surplus = (np.array(grid.shape) - np.array(space.shape)) // 2
    return grid.shifted(surplus, space.shape) if surplus.any() or grid.shape != tuple(space.shape) else grid


def whole_grid(geometry: Geometry, space: NetworkSpace) -> Geometry:
    """All of an image's field of view with the axes and the voxel size of the space."""
    whole = reoriented(geometry, space.orientation)
    if space.voxel_size is None:
        return whole
    wanted = np.where(np.array(whole.shape) > 1, space.voxel_size, whole.spacing)  # a slice stays a single one
    return whole if np.allclose(whole.spacing, wanted, rtol=1e-3, atol=0) else whole.with_spacing(wanted)


def reoriented(geometry: Geometry, orientation: str) -> Geometry:
    """The same voxel centres with array axes permuted and flipped to come nearest to `orientation`, e.g. "LIA"."""
    towards = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    own = geometry.axes_to_ras()
    order, start, flips = [], np.zeros(3), []
    for letter in orientation:
        ras_axis, sign = towards[letter]
        axis = next(a for a, (ras, _sign) in enumerate(own) if ras == ras_axis)
        flip = own[axis][1] != sign
        order.append(axis)
        flips.append(-1 if flip else 1)
        start[axis] = geometry.shape[axis] - 1 if flip else 0
    affine = np.eye(4)
    affine[:3, :3] = geometry.affine[:3, order] * flips
    affine[:3, 3] = geometry.voxel_to_world(start)
    return Geometry(tuple(geometry.shape[axis] for axis in order), affine)


def encode(
    image: Image,
    grid: Geometry,
    space: NetworkSpace,
    transform: Transform = IDENTITY,
    mask: LabelMap | None = None,
    scale: IntensityScale | None = None,
) -> torch.Tensor:
    """Bring an image onto the network's grid and intensities.

    Args:
        image: fixed or moving image.
        grid: from `network_grid`.
        space: gives the intensity rule.
        transform: grid space -> image space, e.g. the affine start of the moving image.
        mask: on the grid of the image; outside it the image becomes background.
        scale: from `intensity_scale`, where it is known already.

    Returns:
        (1, 1, I, J, K), float32.
    """
    scale = scale or intensity_scale(image, space, mask)
    image = hide_outside(image, mask)
    background = float(scale.apply(np.array([background_of(image.array, *scale.ends)]))[0])
    part = _seen_part(image, grid, transform)
    scaled = without_aliasing(Image(scale.apply(part.array), part.geometry, image.name), grid)
    array = transform.resample(scaled, grid, "linear", background).array
    return as_tensor(array, torch.float32)[None, None]


def intensity_scale(image: Image, space: NetworkSpace, mask: LabelMap | None = None) -> IntensityScale:
    """The scale on which `encode` shows an image, whatever the grid; arguments as there."""
    inside = None if mask is None else mask.array > 0
    return IntensityScale.of(hide_outside(image, mask), space.intensity, inside)


def _seen_part(image: Image, grid: Geometry, transform: Transform) -> Image:
    """The part of an image that a grid samples through a linear map, if that is less than half of it."""
    matrix = transform.as_matrix()
    if matrix is None:
        return image
    corners = image.geometry.world_to_voxel(AffineTransform(matrix).apply_to_points(grid.corners()))
    reach = AROUND * grid.spacing.max() / image.geometry.spacing + 1
    low = np.clip(np.floor(corners.min(axis=0) - reach), 0, None).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + reach) + 1, None, image.array.shape).astype(int)
    if (high - low).min() < 1 or 2 * np.prod(high - low) > image.array.size:
        return image
    part = image.array[tuple(slice(a, b) for a, b in zip(low, high))]
    return Image(part, image.geometry.shifted(low, high - low), image.name)


def encode_mask(mask: LabelMap | None, grid: Geometry, transform: Transform = IDENTITY) -> torch.Tensor | None:
    """Bring a mask onto the network's grid, by nearest neighbour.

    Args:
        mask: 0 and 1, or None.
        grid: from `network_grid`.
        transform: grid space -> mask space.

    Returns:
        (1, 1, I, J, K), float32, 0 and 1; None without mask.

    Raises:
        GeometryError: nothing of the mask is left on the grid.
    """
    if mask is None:
        return None
    array = transform.resample(mask, grid).array
    if not array.any():
        raise not_compared(mask, grid)
    return as_tensor(array, torch.float32)[None, None]


def not_compared(mask: LabelMap, grid: Geometry) -> GeometryError:
    """Of a mask that lies where the two images do not meet."""
    return GeometryError(
        f"The mask {mask.name} holds none of the places that are compared, on {grid}. Give a larger mask, or an "
        "initial transform or affine start that brings the volumes together."
    )


def decode(displacement: torch.Tensor, grid: Geometry) -> DisplacementField:
    """A displacement in voxels of the network's grid as a field in RAS mm on that grid.

    Args:
        displacement: (1, 3, I, J, K), voxels of `grid`.
        grid: from `network_grid`.
    """
    return DisplacementField(_millimetres(displacement, grid.affine[:3, :3]), grid)


def decode_affine(matrix: torch.Tensor, grid: Geometry) -> AffineTransform:
    """A matrix on voxel coordinates of the network's grid as an affine map of RAS mm.

    Args:
        matrix: (1, 3, 4), voxels of `grid`.
        grid: from `network_grid`.

    Raises:
        GeometryError: the matrix cannot be inverted.
    """
    voxels = np.eye(4)
    voxels[:3] = as_array(matrix[0].to("cpu", torch.float64))
    return AffineTransform(grid.affine @ voxels @ np.linalg.inv(grid.affine))


def _place(extent: int, target: int, space: NetworkSpace, box: tuple[float, float], margin: float) -> tuple[int, int]:
    """Start (voxels, may be negative) and length of the grid along one axis of `extent` voxels."""
    if space.shape is not None and extent <= target:
        return -((target - extent) // 2), target
    low, high = max(box[0] - margin, 0), min(box[1] + margin, extent - 1)
    length = target
    if space.lengthen or space.shape is None:
        length = max(target, int(np.ceil((high - low + 1) / space.multiple)) * space.multiple)
    middle = (extent - 1) / 2 if space.centring == "image" else (low + high) / 2
    return int(np.floor(middle - (length - 1) / 2 + 0.5)), length


def _foreground_box(image: Image, grid: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel of `grid` along each axis that holds contents of `image`, single specks left out."""
    array = without_outliers(image, CLEARLY).array
    array = array.astype(np.uint8) if array.dtype == bool else array
    low, high = float(array.min()), float(percentiles(array, [99.5])[0])
    mask = array > low + FOREGROUND_FRACTION * (high - low)
    if not mask.any():
        mask = array > low
    ends = np.array([_extent(mask.sum(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)])
    corners = Geometry((2, 2, 2), np.eye(4)).points().reshape(-1, 3)
    corners = np.where(corners > 0, ends[:, 1], ends[:, 0])
    voxels = grid.world_to_voxel(image.geometry.voxel_to_world(corners))
    return voxels.min(axis=0), voxels.max(axis=0)


def _extent(profile: np.ndarray) -> tuple[int, int]:
    share = np.cumsum(profile) / profile.sum()
    return int(np.searchsorted(share, 0.002)), int(np.searchsorted(share, 0.998))


def without_aliasing(image: Image, grid: Geometry, low: float = -np.inf, high: float = np.inf) -> Image:
    """Smooth along the axes that the grid samples more coarsely than the image does.

    Where that is several times as coarse, blocks are averaged first and the result has fewer voxels.

    Args:
        image: any.
        grid: that will sample it.
        low, high: what lies beyond is taken for this first.

    Returns:
        The image on its own grid or a coarser one over the same field of view.
    """
    along = np.abs(np.linalg.inv(image.geometry.direction) @ grid.direction)
    coarseness = (along * grid.spacing).max(axis=1) / image.geometry.spacing
    variance = np.where(coarseness > 1.5, 0.25 * np.maximum(coarseness**2 - 1, 0), 0)
    blocks = np.maximum(np.floor(coarseness / BLOCKS_ALONG), 1).astype(int)
    if (blocks > 1).any():
        image = averaged(image, blocks, low, high)
    elif np.isfinite((low, high)).any():
        precise = image.array.astype(np.float32, copy=False)
        image = Image(np.clip(precise, np.float32(low), np.float32(high)), image.geometry, image.name)
    sigma = np.sqrt(np.maximum(variance - (blocks**2 - 1) / 12, 0)) / blocks  # blocks have smoothed already
    return image.with_array(gaussian_filter(image.array, sigma)) if sigma.any() else image


def field_grid(geometry: Geometry, grid: Geometry) -> Geometry:
    """The grid on which a field is kept: that of the fixed image, or that of the network where the former is very fine.

    Between the voxels of the network's grid a field is linear either way, so the coarser one loses nothing.

    Args:
        geometry: of the fixed image.
        grid: of the network.
    """
    is_coarser = np.prod(grid.shape) < np.prod(geometry.shape)
    return grid if is_coarser and np.prod(geometry.shape) > LARGEST_FIELD else geometry


def field_on_grid(
    displacement: torch.Tensor, grid: Geometry, geometry: Geometry, to_grid: AffineTransform = IDENTITY
) -> DisplacementField:
    """As `decode(displacement, grid).to_displacement(geometry)`, in float32 and a third of the time.

    Args:
        displacement: (1, 3, I, J, K), voxels of `grid`.
        grid: of the network.
        geometry: of the result; outside `grid` the displacement continues with its border.
        to_grid: a linear map A from the space of the result to that of `grid`; the result is then A, the displacement
            and the inverse of A in a row.
    """
    back = np.linalg.inv(to_grid.matrix[:3, :3]) @ grid.affine[:3, :3]
    array = _millimetres(displacement, back)
    between = grid.world_to_voxel_affine @ to_grid.matrix @ geometry.affine
    copied = copy_if_aligned(array, between, geometry.shape)
    return DisplacementField(_sampled(array, between, geometry) if copied is None else copied, geometry)


def _millimetres(displacement: torch.Tensor, axes: np.ndarray) -> np.ndarray:
    """(I, J, K, 3) from (1, 3, I, J, K) voxels; the columns of `axes` (3, 3) are the steps of the voxel axes in mm."""
    matrix = as_tensor(axes, torch.float32)
    return as_array(displacement[0].to("cpu", torch.float32).movedim(0, -1) @ matrix.T)


def _sampled(array: np.ndarray, matrix: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(*geometry.shape, 3): linear between the voxels of `array` (I, J, K, 3), which `matrix` leads to."""
    sampled = np.empty((*geometry.shape, 3), np.float32)
    grids = ParallelGrids.between(matrix, geometry.shape)
    if grids is not None:
        for slab in slabs(geometry):
            sampled[slab] = grids.sample(array, slab)
        return sampled
    source = as_tensor(array).movedim(-1, 0).contiguous()[None]
    for slab in slabs(geometry):
        extents = (slab.stop - slab.start, *geometry.shape[1:])
        i, j, k = np.ix_(*(np.arange(n, dtype=np.float64) for n in extents))
        # In float64, because products of large indices and small angles make the locations.
        rows = [row[0] * (i + slab.start) + row[1] * j + row[2] * k + row[3] for row in matrix[:3]]
        locations = as_tensor(np.stack(rows), torch.float32)[None]
        sampled[slab] = as_array(sample_at(source, locations)[0].movedim(0, -1))
    return sampled
