"""Smoothing: images and fields convolved with a Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .errors import ConfigError
from .precision import in_float32


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
        padding: what lies outside, "zeros" (as in the original) or "border" (the nearest voxel).

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


def _along(image: Tensor, axis: int, kernel: Tensor, padding: str) -> Tensor:
    """One axis at a time, as a 1-D convolution over everything else."""
    lines = image.movedim(axis, -1)
    flat = lines.reshape(-1, 1, lines.shape[-1])
    radius = len(kernel) // 2
    mode = "constant" if padding == "zeros" else "replicate"
    smooth = functional.conv1d(functional.pad(flat, (radius, radius), mode=mode), kernel.view(1, 1, -1))
    return smooth.reshape(lines.shape).movedim(-1, axis)
