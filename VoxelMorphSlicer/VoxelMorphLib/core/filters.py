"""Filters on tensor images: Gaussian smoothing, means of blocks, and ranges of intensities."""

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
