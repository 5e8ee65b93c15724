"""The scale from 0 to 1 on which networks and optimisations see an image, by the rules of `NetworkSpace.intensity`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.image import Image
from .intensities import CLEARLY, bounds, without_outliers

#: Voxels that suffice for a percentile.
PERCENTILE_VOXELS = 20_000_000
#: FreeSurfer's normalised T1 images put white matter at 110 of 255; the bright end of a brain lies just above.
FREESURFER_RANGE = 255.0
FREESURFER_BRIGHT = 115.0
FREESURFER_BRIGHT_LIMITS = (95.0, 140.0)


@dataclass(frozen=True)
class IntensityScale:
    """What becomes 0 and 1.

    Args:
        low, high: intensities of 0 and 1.
        ends: what lies beyond is an outlier and taken for this first.
    """

    low: float
    high: float
    ends: tuple[float, float]

    @classmethod
    def of(cls, image: Image, rule: str, inside: np.ndarray | None = None) -> IntensityScale:
        """The scale of an image.

        Args:
            image: any real intensities; outliers are cut off first.
            rule: "minmax": (x - min) / (max - min). "percentile": the same between the 0.5th and the 99.5th
                percentile, clipped. "freesurfer": divided by 255 when the image already has FreeSurfer's scale (from
                0, brightest tissue at 95 to 140), else scaled so that its brightest tissue (99th percentile of the
                contents) lies where FreeSurfer puts it.
            inside: (I, J, K), bool, voxels that percentiles are taken of; None takes all. The others are background.
        """
        array = without_outliers(image, CLEARLY).array
        array = array if array.dtype.kind in "iu" else array.astype(np.float32, copy=False)
        masked = inside is not None and rule == "percentile"
        low, high = _RULES[rule](array[inside] if masked else array)
        return cls(low, high, bounds(image))

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Intensities of any shape on the scale, a new array, float32."""
        array = array.astype(np.float32)
        np.clip(array, *self.ends, out=array)
        array -= np.float32(self.low)
        array /= np.float32(max(self.high - self.low, 1e-12))
        return np.clip(array, 0, 1, out=array)


def normalise(image: Image, rule: str, inside: np.ndarray | None = None) -> Image:
    """An image on its `IntensityScale`, float32."""
    return Image(IntensityScale.of(image, rule, inside).apply(image.array), image.geometry, image.name)


def _minmax(array: np.ndarray) -> tuple[float, float]:
    return float(array.min()), float(array.max())


def _percentile(array: np.ndarray) -> tuple[float, float]:
    low, high = percentiles(array, [0.5, 99.5])
    return (float(low), float(high)) if high > low else _minmax(array)


def percentiles(array: np.ndarray, shares: list[float]) -> np.ndarray:
    """Of all values of an array, or of every nth of very many."""
    step = -(-array.size // PERCENTILE_VOXELS)
    return np.percentile(array.ravel(order="K")[:: max(step, 1)], shares)


def _freesurfer(array: np.ndarray) -> tuple[float, float]:
    low = float(array.min())
    contents = array[array > low]
    bright = float(percentiles(contents, [99])[0]) - low if contents.size else 0.0
    low_limit, high_limit = FREESURFER_BRIGHT_LIMITS
    if low == 0 and array.max() <= FREESURFER_RANGE and low_limit <= bright <= high_limit:
        return 0.0, FREESURFER_RANGE
    return low, low + max(bright, 1e-12) * FREESURFER_RANGE / FREESURFER_BRIGHT


_RULES = {"minmax": _minmax, "percentile": _percentile, "freesurfer": _freesurfer}
