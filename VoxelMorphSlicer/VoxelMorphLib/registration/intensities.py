"""Images without the outliers that would take most of a scale or of a histogram for a few voxels."""

from __future__ import annotations

import numpy as np
import torch

from ..core.filters import MARGIN, robust_range
from ..core.image import Image

#: Ranges of the other intensities beyond which networks and figures take a voxel for an outlier; what is nearer keeps
#: the scale that models were trained on.
CLEARLY = 1.0


def bounds(image: Image, tolerated: float = CLEARLY) -> tuple[float, float]:
    """The lowest and the highest intensity, or where outliers are cut off; see `robust_range`."""
    values = torch.from_numpy(np.ascontiguousarray(image.array, dtype=np.float32).reshape(1, -1))
    low, high = robust_range(values, tolerated)
    return float(low), float(high)


def without_outliers(image: Image, tolerated: float = MARGIN) -> Image:
    """The image with outliers at its `bounds`, float32; the image itself where there are none."""
    low, high = bounds(image, tolerated)
    array = image.array.astype(np.float32, copy=False)
    if low <= array.min() and array.max() <= high:
        return image
    return Image(np.clip(array, np.float32(low), np.float32(high)), image.geometry, image.name)
