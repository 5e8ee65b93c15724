"""Filters on tensor images: Gaussian smoothing, sums over boxes, and ranges of intensities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .errors import ConfigError
from .full_precision import at_least_float32, in_float32

#: Share of the intensities at either end that may be outliers.
OUTLYING = 0.005
#: Outliers keep this distance from the others, in ranges of the others, so that they can still be told from them.
MARGIN = 0.25
#: Intensities that suffice to see a range.
RANGE_SAMPLES = 200_000


def gaussian_kernel(sigma: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """(2 round(3 sigma) + 1,), normalised to sum 1; sigma in voxels."""
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2) if sigma > 0 else torch.ones(1, dtype=torch.float64)
    return (weights / weights.sum()).to(dtype)


@in_float32
def gaussian(image: Tensor, sigma: float | Sequence[float], padding: str = "zeros") -> Tensor:
    """Convolve every channel with a Gaussian cut off at three standard deviations.

    Args:
        image: (B, C, *shape).
        sigma: standard deviation in voxels, one or one per axis; 0 leaves an axis as it is.
        padding: values outside the image, "zeros" (as in the original) or "border" (the nearest voxel).

    Returns:
        (B, C, *shape), float32.

    Raises:
        ConfigError: a negative sigma, not one per axis, or an unknown padding.
    """
    dims = image.ndim - 2
    sigmas = [float(sigma)] * dims if isinstance(sigma, (int, float)) else [float(s) for s in sigma]
    if len(sigmas) != dims or min(sigmas) < 0 or padding not in ("zeros", "border"):
        raise ConfigError(
            f"Cannot smooth {dims} axes by sigma {sigmas} with padding {padding!r}; give sigma >= 0, one or one per "
            "axis, and zeros or border."
        )
    result = image
    for axis, value in enumerate(sigmas, start=2):
        if value > 0:
            result = _along(result, axis, gaussian_kernel(value, result.dtype).to(result.device), padding)
    return result


def box_window(window: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One positive extent per spatial axis from a single number or one number per axis.

    Raises:
        ConfigError: not a positive whole number, or not one per axis.
    """
    extents = (window,) * axes if isinstance(window, int) else tuple(window)
    if len(extents) != axes or any(int(n) != n or n < 1 for n in extents):
        raise ConfigError(f"The window {window!r} must be one positive whole number, or one for each of {axes} axes.")
    return tuple(int(n) for n in extents)


@in_float32
def box_sum(image: Tensor, window: Sequence[int], adjoint: bool = False) -> Tensor:
    """Sum over the window around each voxel; voxels outside the grid count as 0.

    Each axis is one product with a banded matrix of ones: two to twenty times faster on CPUs than shifted additions,
    running sums, pooling or convolutions, and free of the cancellation of running sums.

    Args:
        image: (B, C, *shape).
        window: extent per axis, voxels; an even one reaches one voxel further up than down.
        adjoint: apply the transposed operator, which differs for even extents only.

    Returns:
        (B, C, *shape).
    """
    sum_along = _sum_by_product if _products_are_exact(image.dtype) else _sum_by_doubling
    result = image
    for axis, extent in enumerate(window, start=2):
        reach = (extent - 1) // 2, extent // 2
        result = sum_along(result, axis, reach[::-1] if adjoint else reach)
    return result


def box_moments(image: Tensor, window: Sequence[int], count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared deviations from it in the window around each voxel.

    Args:
        image: (B, C, *shape), 0 at voxels that do not count.
        window: extent per axis, voxels.
        count: (B or 1, 1, *shape), voxels of every window that count, at least 1.

    Returns:
        Twice (B, C, *shape); the second is not negative.
    """
    total = box_sum(image, window)
    mean = total / count
    return mean, box_sum(image * image, window).addcmul_(total, mean, value=-1).clamp_(min=0)


def block_mean(image: Tensor, size: Sequence[int]) -> Tensor:
    """Means of whole blocks of voxels; what is left at the end of an axis has no part.

    One sum of slices along each axis: three to five times as fast on CPUs as pooling.

    Args:
        image: (B, C, *shape).
        size: voxels along a block, per axis.

    Returns:
        (B, C, *(shape // size)), the image itself for blocks of one voxel.
    """
    result = image
    for axis, extent in enumerate(size, start=2):
        if extent > 1:
            count = result.shape[axis] // extent
            slices = result.narrow(axis, 0, count * extent).unflatten(axis, (count, extent)).unbind(axis + 1)
            result = slices[0] + slices[1]
            for each in slices[2:]:
                result += each
    return result if result is image else result.div_(math.prod(size))


def min_max(tensor: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """(x - min) / (max - min) over `dims` (all unless given); 0 if all values are equal. A new tensor."""
    tensor = at_least_float32(tensor)
    dims = tuple(range(tensor.ndim)) if dims is None else tuple(dims)
    low, high = tensor.amin(dims, keepdim=True), tensor.amax(dims, keepdim=True)
    extent = high - low
    return (tensor - low) / torch.where(extent == 0, torch.ones_like(extent), extent)


def robust_range(values: Tensor, tolerated: float = MARGIN) -> tuple[Tensor, Tensor]:
    """Lowest and highest intensity of each row, without hot voxels, metal or the number that pads a scan.

    An end moves to `MARGIN` ranges beyond the percentiles of the others where it lies more than `tolerated` ranges
    beyond. Voxels that have the very lowest or highest value are not among the others, however many they are: they
    may be a padding or the background of a scan that is mostly empty.

    Args:
        values: (P, N).
        tolerated: 1 or more leaves what is not clearly an outlier as it is.

    Returns:
        (P,) and (P,), without gradients.
    """
    values = at_least_float32(values.detach())
    sample = values[:, :: max(1, values.shape[1] // RANGE_SAMPLES)]
    return robust_ends(*values.aminmax(dim=1), sample, tolerated)


def robust_ends(low: Tensor, high: Tensor, sample: Tensor, tolerated: float = MARGIN) -> tuple[Tensor, Tensor]:
    """`robust_range` of values of which the ends and some others are known.

    Args:
        low, high: (P,), lowest and highest intensity.
        sample: (P, N), intensities from all over.
        tolerated: see there.
    """
    sample = sample.sort(dim=1).values
    first = (sample <= low[:, None]).sum(1)
    count = (sample < high[:, None]).sum(1) - first

    def at(share: float) -> Tensor:
        index = (first + share * (count - 1)).round().long().clamp(0, sample.shape[1] - 1)
        return sample.gather(1, index[:, None])[:, 0]

    below, above = at(OUTLYING), at(1 - OUTLYING)
    spread = above - below
    known = (count > 1) & (spread > 0)
    low = torch.where(known & (low < below - tolerated * spread), below - MARGIN * spread, low)
    return low, torch.where(known & (high > above + tolerated * spread), above + MARGIN * spread, high)


def _along(image: Tensor, axis: int, kernel: Tensor, padding: str) -> Tensor:
    """One axis at a time, as a 1-D convolution over everything else."""
    lines = image.movedim(axis, -1)
    flat = lines.reshape(-1, 1, lines.shape[-1])
    radius = len(kernel) // 2
    mode = "constant" if padding == "zeros" else "replicate"
    smooth = functional.conv1d(functional.pad(flat, (radius, radius), mode=mode), kernel.view(1, 1, -1))
    return smooth.reshape(lines.shape).movedim(-1, axis)


def _products_are_exact(dtype: torch.dtype) -> bool:
    """False if products of rounded inputs (TF32, bfloat16) are allowed, which would ruin variances."""
    if dtype == torch.float64:
        return True
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set through torch's newer switches, one per backend
        return False


def _sum_by_product(image: Tensor, axis: int, reach: tuple[int, int]) -> Tensor:
    """Multiply a band of ones onto one axis; the others are flattened, so that no data is transposed."""
    index = torch.arange(image.shape[axis], device=image.device)
    offset = index[None, :] - index[:, None]
    band = ((offset >= -reach[0]) & (offset <= reach[1])).to(image.dtype)
    if axis == image.ndim - 1:
        return image @ band.T
    return (band @ image.flatten(axis + 1)).view(image.shape)


def _sum_by_doubling(image: Tensor, axis: int, reach: tuple[int, int]) -> Tensor:
    """Add runs of 1, 2, 4, ... voxels along one axis whose lengths sum to that of the window."""
    run = functional.pad(image, (0, 0) * (image.ndim - 1 - axis) + reach)
    extent, length, start, total = sum(reach) + 1, 1, 0, None
    while True:
        if extent & length:
            piece = run.narrow(axis, start, image.shape[axis])
            total = piece if total is None else total + piece
            start += length
        if start == extent:
            assert total is not None
            return total
        steps = run.shape[axis] - length
        run = run.narrow(axis, 0, steps) + run.narrow(axis, length, steps)
        length *= 2
