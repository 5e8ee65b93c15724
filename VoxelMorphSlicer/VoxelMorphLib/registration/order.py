"""The order of two images that does not depend on which of them is called fixed.

Noise and interpolation lead the same search elsewhere when the images are swapped. Who searches in this order, and
inverts what was found where it is the other one, has the same answer both ways.
"""

from __future__ import annotations

import numpy as np

from ..core.image import Image, LabelMap


def comes_first(volumes: tuple[float, float], means: tuple[float, float]) -> bool:
    """Whether to look from the first image into the second.

    From the smaller field of view, as most of the larger one has no counterpart; of equal ones any rule will do.

    Args:
        volumes: of the fields of view, mm3.
        means: of the intensities on the scale from 0 to 1.
    """
    if not np.isclose(*volumes, rtol=1e-6):
        return volumes[0] < volumes[1]
    return means[0] <= means[1]


def precedes(one: Image, other: Image, mask: LabelMap | None = None, other_mask: LabelMap | None = None) -> bool:
    """`comes_first` for two images, of which only what lies in the masks is seen."""
    (volume, mean), (other_volume, other_mean) = _seen(one, mask), _seen(other, other_mask)
    return comes_first((volume, other_volume), (mean, other_mean))


def _seen(image: Image, mask: LabelMap | None) -> tuple[float, float]:
    """mm3 that are seen, and the mean of their intensities on the scale from 0 to 1."""
    values = image.array if mask is None else image.array[mask.array > 0]
    low, high = float(values.min()), float(values.max())
    mean = (float(values.mean(dtype=np.float64)) - low) / max(high - low, 1e-12)
    return float(values.size * np.prod(image.geometry.spacing)), mean
