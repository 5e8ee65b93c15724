"""How lively an image of 0..1 is inside small windows, and how much of that is noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.filters import box_moments, box_sum

#: Voxels, side of a window.
WINDOW = 5
#: Contents are brighter than this.
FOREGROUND = 0.1
#: Windows of a smaller deviation show nothing.
FLAT = 0.015
#: Limits of the deviation inside a window, for phantoms without texture and images of stripes.
FLATTEST, LIVELIEST = 0.03, 0.12
#: Deviation of Gaussian noise by the median of its size.
BY_MEDIAN = 1.4826


def texture_deviation(image: Tensor) -> float:
    """The median standard deviation inside the windows that are not flat, of an image (1, 1, *shape) of 0..1."""
    deviation = _deviation(image)
    shown = deviation[deviation > FLAT]
    usual = float(shown.median()) if shown.numel() else 0.0
    return min(max(usual, FLATTEST), LIVELIEST)


def noise_share(image: Tensor) -> float:
    """Standard deviation of the noise by `texture_deviation`, of an image (1, 1, *shape) of 0..1.

    The noise is what the neighbours of a voxel along the axes do not tell about it, as in Immerkaer, Computer Vision
    and Image Understanding 64:300-302 (1996), doi:10.1006/cviu.1996.0060; the median keeps edges out.
    """
    rest, neighbours = torch.zeros_like(image), 0
    for axis in range(2, image.ndim):
        inner = image.shape[axis] - 2
        if inner > 0:
            before, after = image.narrow(axis, 0, inner), image.narrow(axis, 2, inner)
            rest.narrow(axis, 1, inner).sub_(before).sub_(after).add_(image.narrow(axis, 1, inner), alpha=2)
            neighbours += 2
    shown = rest[_deviation(image) > FLAT]
    if not shown.numel() or not neighbours:
        return 0.0
    noise = float(shown.abs().median()) * BY_MEDIAN / math.sqrt(neighbours**2 + neighbours)
    return noise / texture_deviation(image)


def _deviation(image: Tensor) -> Tensor:
    window = (WINDOW,) * 3
    count = box_sum(torch.ones_like(image), window)
    _mean, squares = box_moments(image, window, count)
    return (squares / count).sqrt_()
