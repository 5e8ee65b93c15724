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


def bounds(image: Image, tolerated: float = CLEARLY) -> tuple[float, float]:
    """The lowest and the highest intensity, or where outliers are cut off; see `robust_range`."""
    array = image.array
    sample = every_nth(array, max(1, array.size // RANGE_SAMPLES))
    least, most, others = (as_tensor(np.array(each, np.float32)) for each in ([array.min()], [array.max()], [sample]))
    low, high = robust_ends(least, most, others, tolerated)
    return float(low), float(high)


def without_outliers(image: Image, tolerated: float = MARGIN) -> Image:
    """The image with outliers at its `bounds`, float32; the image itself where there are none."""
    low, high = (np.float32(end) for end in bounds(image, tolerated))
    array = image.array
    if low <= np.float32(array.min()) and np.float32(array.max()) <= high:
        return image
    return Image(np.clip(array.astype(np.float32, copy=False), low, high), image.geometry, image.name)
