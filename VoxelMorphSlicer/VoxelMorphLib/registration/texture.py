"""How lively an image of 0..1 is inside small windows, and how much of that is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.windows import Windows

#: Voxels, side of a window in volumes and in slices; both hold about as many, because chance correlates few of them.
WINDOW, SLICE_WINDOW = 5, 11
#: Up to so many voxels, there are windows around all of them.
DENSE = 250_000
#: Contents are brighter than this.
FOREGROUND = 0.1
#: Windows of a smaller deviation show nothing.
FLAT = 0.015
#: Limits of the deviation inside a window, for phantoms without texture and images of stripes.
FLATTEST, LIVELIEST = 0.03, 0.12
#: Deviation of Gaussian noise by the median of its size.
BY_MEDIAN = 1.4826


def window_of(shape: Sequence[int]) -> tuple[int, int, int]:
    """Sides of the window around a voxel of an image of this shape (I, J, K), voxels; beyond the image it has none."""
    side = SLICE_WINDOW if min(shape) == 1 else WINDOW
    return side, side, side


def windows_of(shape: Sequence[int]) -> Windows:
    """Those that suffice to see all of an image (I, J, K): around every other voxel of a large one.

    Around all of them, local correlation takes more than three times as long and aligns no better.
    """
    return Windows(shape, window_of(shape), 2 if math.prod(shape) > DENSE else 1)


def texture_and_noise(image: Tensor) -> tuple[float, float]:
    """The median standard deviation inside the windows that are not flat, and the noise's by that one.

    The noise is what the neighbours of a voxel along the axes do not tell about it, as in Immerkaer, Computer Vision
    and Image Understanding 64:300-302 (1996), doi:10.1006/cviu.1996.0060; the median keeps edges out.

    Args:
        image: (1, 1, *shape) of 0..1.
    """
    windows = windows_of(image.shape[2:])
    count = windows.sums(torch.ones_like(image))
    _mean, squares = windows.moments(image, count)
    deviation = (squares / count).sqrt_()
    shown = deviation > FLAT
    if not shown.any():
        return FLATTEST, 0.0
    texture = min(max(float(deviation[shown].median()), FLATTEST), LIVELIEST)
    rest, neighbours = _unexplained(image)
    deviation_of_rest = BY_MEDIAN * float(windows.centres(rest)[shown].abs().median())
    noise = deviation_of_rest / math.sqrt(max(neighbours**2 + neighbours, 1))
    return texture, noise / texture


def _unexplained(image: Tensor) -> tuple[Tensor, int]:
    """Every voxel as often as it has neighbours along the axes, less these; and how many they are at most."""
    rest, neighbours = torch.zeros_like(image), 0
    for axis in range(2, image.ndim):
        inner = image.shape[axis] - 2
        if inner > 0:
            before, after = image.narrow(axis, 0, inner), image.narrow(axis, 2, inner)
            rest.narrow(axis, 1, inner).sub_(before).sub_(after).add_(image.narrow(axis, 1, inner), alpha=2)
            neighbours += 2
    return rest, neighbours
