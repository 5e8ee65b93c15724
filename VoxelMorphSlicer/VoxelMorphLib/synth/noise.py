"""Random smooth fields, blurs of random width, cropped fields of view and thick slices; on any device, in float32.

Smooth fields and blurs are products with one small matrix per axis, which is faster on CPUs than convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from ..core.errors import ConfigError
from ..core.resize import resize
from .random_parts import Part

#: Full width at half maximum of a Gaussian of standard deviation 1.
FWHM = 2.355
#: A field whose maximum is a smaller share of the size of its minimum is turned over before it is scaled to a maximum:
#: dividing by a number near 0, as the original does, would make it as strong as you please.
SLIGHT = 0.1
#: Largest logarithm of a bias field; more leaves the numbers that float32 has.
LARGEST_LOG = 60.0


def perlin_noise(
    part: Part,
    channels: int,
    shape: Sequence[int],
    scales: Sequence[float],
    max_std: float,
    min_std: float = 0.0,
    modulate: bool = True,
) -> Tensor:
    """Sum over scales of white noise on a coarse grid, interpolated linearly.

    Args:
        part: the random numbers.
        channels: of the field, which share the standard deviation of every scale.
        shape: extents of the field.
        scales: voxels between the points of each coarse grid.
        max_std, min_std: limits of the standard deviation, which is drawn for every scale.
        modulate: draw it; otherwise it is `max_std`.

    Returns:
        (1, channels, *shape).

    Raises:
        ConfigError: a scale below 1, or none.
    """
    grids = coarse_noise(part, channels, shape, scales, max_std, min_std, modulate)
    return sum_of_grids(grids, shape)


def coarse_noise(
    part: Part,
    channels: int,
    shape: Sequence[int],
    scales: Sequence[float],
    max_std: float,
    min_std: float = 0.0,
    modulate: bool = True,
) -> list[Tensor]:
    """The grids that `perlin_noise` sums, (1, channels, *coarse) each; arguments and errors as there."""
    if not scales or min(scales) < 1:
        raise ConfigError(f"Noise has scales of at least 1 voxel, got {list(scales)}. Give one or more.")
    grids = []
    for scale in scales:
        std = float(part.uniform(min_std, max_std)) if modulate else max_std
        grids.append(std * part.noise(1, channels, *(ceil(n / scale) for n in shape)))
    return grids


def sum_of_grids(grids: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Coarse grids (B, C, *coarse), interpolated to (B, C, *shape) with the corners aligned, and added.

    All but the last axis are interpolated grid by grid; along the last one the grids share one product, so that no
    field of full size is made more than once.
    """
    if len(shape) < 2:
        return sum(resize(grid, shape) for grid in grids)
    thin = [_interpolated(grid, shape) for grid in grids]
    matrices = [_interpolation(grid.shape[-1], shape[-1], grid) for grid in grids]
    return torch.cat(thin, -1) @ torch.cat(matrices, 1).T


def _interpolated(grid: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, C, *shape, last): all axes but the last one at full size."""
    for axis in range(len(shape) - 2, -1, -1):
        matrix = _interpolation(grid.shape[axis + 2], shape[axis], grid)
        grid = (matrix @ grid.flatten(axis + 3)).unflatten(axis + 3, grid.shape[axis + 3 :])
    return grid


def _interpolation(old: int, new: int, like: Tensor) -> Tensor:
    """(new, old): weights of linear interpolation with aligned corners."""
    eye = torch.eye(old, device=like.device, dtype=like.dtype)
    return resize(eye[None], [new])[0].T


def smooth_noise(
    part: Part,
    channels: int,
    shape: Sequence[int],
    fwhm_min: float | Sequence[float],
    fwhm_max: float | Sequence[float],
    noise_min: float = 0.01,
    noise_max: float = 1.0,
    isotropic: bool = False,
    reduce: str = "std",
) -> Tensor:
    """White noise, blurred by a random width and scaled to a random size.

    Args:
        part: the random numbers.
        channels: of the field, each of a size of its own.
        shape: extents of the field.
        fwhm_min, fwhm_max: limits of the blur's width at half maximum, voxels, one or one per axis.
        noise_min, noise_max: limits of the size, above 0.
        isotropic: the same width along all axes.
        reduce: what the size means: "std" the standard deviation of the field, or "max" its maximum.

    Returns:
        (1, channels, *shape).

    Raises:
        ConfigError: a size that is not above 0, or another `reduce`.
    """
    if noise_min <= 0 or noise_max < noise_min or reduce not in ("std", "max"):
        raise ConfigError(
            f"Noise of a size from {noise_min} to {noise_max} as {reduce!r} cannot be made. Give sizes above 0 in "
            "ascending order, and std or max."
        )
    low, high = _per_axis(fwhm_min, len(shape)), _per_axis(fwhm_max, len(shape))
    widths = part.between(low, high)
    if isotropic:
        widths = low[0] + (widths[:1] - low[0]).expand(len(shape))
    size = part.uniform(noise_min, noise_max, channels)
    field = blur(part.noise(1, channels, *shape), (widths / FWHM)[None])
    flat = field.flatten(2)
    if reduce == "max":
        high, low_end = flat.amax(2), flat.amin(2)
        found = torch.where(high < SLIGHT * low_end.abs(), low_end, high)
    else:
        found = flat.std(2)
    factor = size.to(field.device) / torch.where(found == 0, torch.ones_like(found), found)
    return field * factor.view(1, channels, *(1 for _ in shape))


def blurred_to_size(field: Tensor, part: Part, sigma_min: float = 8 / FWHM, sigma_max: float = 32 / FWHM) -> Tensor:
    """A field (1, C, *shape) blurred by a random width, with its standard deviation kept (`random_blur_rescale`)."""
    sigma = part.uniform(sigma_min, sigma_max, field.ndim - 2)
    smooth = blur(field, sigma[None])
    before, after = field.flatten(2).std(2), smooth.flatten(2).std(2)
    return smooth * (before / after.clamp(min=1e-12)).view(1, -1, *(1 for _ in field.shape[2:]))


def blur(image: Tensor, sigma: Tensor, sigma_max: float | None = None) -> Tensor:
    """Convolve every item with a Gaussian of its own; outside the image is 0.

    Args:
        image: (B, C, *shape).
        sigma: (B, N) on the CPU, standard deviations in voxels, of every axis; 0 leaves an axis as it is.
        sigma_max: decides where kernels end, at three of it; by default the largest of `sigma`.

    Returns:
        (B, C, *shape).
    """
    result = image.float()
    for axis in range(image.ndim - 2):
        widths = sigma[:, axis]
        if not (widths > 0).any():
            continue
        reach = round(3 * float(widths.max() if sigma_max is None else sigma_max))
        matrix = _gaussians(widths, image.shape[axis + 2], reach).to(image.device)
        if axis == image.ndim - 3:
            result = (result.flatten(1, -2) @ matrix.mT).view(result.shape)
            continue
        after = result.flatten(axis + 3)
        result = (matrix.view(len(matrix), *(1 for _ in range(axis + 1)), *matrix.shape[1:]) @ after).view(result.shape)
    return result


def _gaussians(sigma: Tensor, extent: int, reach: int) -> Tensor:
    """(B, extent, extent): convolution with a normalised kernel that ends at `reach`."""
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    width = sigma.double().clamp(min=1e-6)[:, None]
    kernel = torch.exp(-0.5 * (offset / width) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    index = torch.arange(extent)
    distance = index[None, :] - index[:, None]
    inside = distance.abs() <= reach
    taken = kernel[:, (distance.clamp(-reach, reach) + reach).flatten()].view(-1, extent, extent)
    return (taken * inside).float()


def bias_field(logarithm: Tensor) -> Tensor:
    """Positive factors, finite however strong the field is."""
    return logarithm.clamp(-LARGEST_LOG, LARGEST_LOG).exp()


def crop_mask(
    part: Part,
    shape: Sequence[int],
    crop_min: float = 0.0,
    crop_max: float = 0.5,
    prob: float = 1.0,
    bilateral: bool = False,
    axes: Sequence[int] | None = None,
) -> Tensor:
    """(1, 1, *shape), 1 in the field of view and 0 beyond it.

    Args:
        part: the random numbers.
        shape: extents.
        crop_min, crop_max: limits of the share of the axis that is lost.
        prob: share of the samples that are cropped.
        bilateral: at both ends, instead of at one.
        axes: of which one is cropped; all by default.
    """
    allowed = list(range(len(shape))) if axes is None else list(axes)
    axis = allowed[part.choice(len(allowed))]
    share, side = float(part.uniform(crop_min, crop_max)), float(part.uniform(0, 1))
    used = part.chance(prob)
    first = share * (side if bilateral else float(side < 0.5)) * used
    last = share * used - first
    place = torch.arange(shape[axis])
    kept = (place >= round(first * shape[axis])) & (place < shape[axis] - round(last * shape[axis]))
    size = [1, 1, *(n if i == axis else 1 for i, n in enumerate(shape))]
    return kept.float().view(size).expand(1, 1, *shape)


def thick_slices(
    image: Tensor,
    part: Part,
    stride_min: float = 1.0,
    stride_max: float = 8.0,
    prob: float = 1.0,
    axes: Sequence[int] | None = None,
) -> Tensor:
    """An image (1, C, *shape) with slices of random thickness along one random axis, on its own grid.

    Args:
        image: is sampled at every n-th voxel, by nearest neighbour, and interpolated linearly.
        part: the random numbers.
        stride_min, stride_max: limits of n.
        prob: share of the samples that are changed.
        axes: of which one is taken; all by default.
    """
    allowed = list(range(image.ndim - 2)) if axes is None else list(axes)
    axis = allowed[part.choice(len(allowed))]
    stride = float(part.uniform(stride_min, stride_max))
    if not part.chance(prob):
        return image
    shape = list(image.shape[2:])
    thin = shape.copy()
    thin[axis] = max(1, round(shape[axis] / stride))
    return resize(resize(image, thin, interpolation="nearest"), shape)


def _per_axis(value: float | Sequence[float], axes: int) -> list[float]:
    return [float(value)] * axes if isinstance(value, (int, float)) else [float(v) for v in value]
