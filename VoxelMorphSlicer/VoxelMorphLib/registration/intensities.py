"""Images without the outliers that would take most of a scale or of a histogram for a few voxels."""

from __future__ import annotations

import numpy as np

from ..core.arrays import every_nth
from ..core.filters import MARGIN, RANGE_SAMPLES, robust_ends
from ..core.image import Image
from ..core.tensors import as_tensor

#: Ranges of the other intensities beyond which networks and figures take a voxel for an outlier; what is nearer keeps
#: the scale that models were trained on.
CLEARLY = 1.0
#: Hounsfield units of the thinnest air, of its noise, and of what is surely air.
THINNEST, NOISIEST, AIR = -1024.0, -1200.0, -200.0
#: Share of the voxels that is air in every CT, and share of those below its noise that a padding is.
LEAST_AIR, ONE_VALUE = 0.01, 0.9


def bounds(image: Image, tolerated: float = CLEARLY) -> tuple[float, float]:
    """The lowest and the highest intensity, or where outliers are cut off; see `robust_range`.

    What pads a CT around the circle that was reconstructed, -2000 or -32768, counts as air: its edge lies at the same
    place in every scan and would hold any two of them there.
    """
    array = image.array
    sample = every_nth(array, max(1, array.size // RANGE_SAMPLES))
    least, most, others = (as_tensor(np.array(each, np.float32)) for each in ([array.min()], [array.max()], [sample]))
    low, high = robust_ends(least, most, others, tolerated)
    return max(float(low), THINNEST) if _is_padded_ct(sample, float(array.min())) else float(low), float(high)


def _is_padded_ct(sample: np.ndarray, padding: float) -> bool:
    """Whether there is air in Hounsfield units, and one value below it.

    Args:
        sample: intensities from all over.
        padding: the lowest of all.
    """
    if padding >= NOISIEST:
        return False
    below, air = sample < NOISIEST, (sample >= NOISIEST) & (sample < AIR)
    return air.mean() > LEAST_AIR and (sample == padding).sum() > ONE_VALUE * below.sum()


def without_outliers(image: Image, tolerated: float = MARGIN) -> Image:
    """The image with outliers at its `bounds`, float32; the image itself where there are none."""
    low, high = (np.float32(end) for end in bounds(image, tolerated))
    array = image.array
    if low <= np.float32(array.min()) and np.float32(array.max()) <= high:
        return image
    return Image(np.clip(array.astype(np.float32, copy=False), low, high), image.geometry, image.name)
