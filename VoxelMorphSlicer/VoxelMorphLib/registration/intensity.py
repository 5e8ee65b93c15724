"""Intensity rules: voxel values of any scanner to the scale a network was trained on."""

from __future__ import annotations

import numpy as np

from ..core.image import Image

#: FreeSurfer's normalised T1 images put white matter at 110 of 255; the bright end of a brain lies just above.
FREESURFER_RANGE = 255.0
FREESURFER_BRIGHT = 115.0
FREESURFER_BRIGHT_LIMITS = (95.0, 140.0)


def normalise(image: Image, rule: str, inside: np.ndarray | None = None) -> Image:
    """Scale an image to about 0..1, float32.

    Args:
        image: any real intensities.
        rule: "minmax": (x - min) / (max - min). "percentile": the same between the 0.5th and the 99.5th percentile,
            clipped. "freesurfer": divided by 255 when the image already has FreeSurfer's scale (from 0, brightest
            tissue at 95 to 140), else scaled so that its brightest tissue (99th percentile of the contents) lies where
            FreeSurfer puts it.
        inside: (I, J, K), bool, voxels that percentiles are taken of; None takes all. The others are background.
    """
    array = image.array.astype(np.float32)
    masked = inside is not None and rule == "percentile"
    low, high = _RULES[rule](array[inside] if masked else array)
    scaled = (array - np.float32(low)) / np.float32(max(high - low, 1e-12))
    return Image(np.clip(scaled, 0, 1), image.geometry, image.name)


def _minmax(array: np.ndarray) -> tuple[float, float]:
    return float(array.min()), float(array.max())


def _percentile(array: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(array, [0.5, 99.5])
    return (float(low), float(high)) if high > low else _minmax(array)


def _freesurfer(array: np.ndarray) -> tuple[float, float]:
    low = float(array.min())
    contents = array[array > low]
    bright = float(np.percentile(contents, 99)) - low if contents.size else 0.0
    low_limit, high_limit = FREESURFER_BRIGHT_LIMITS
    if low == 0 and array.max() <= FREESURFER_RANGE and low_limit <= bright <= high_limit:
        return 0.0, FREESURFER_RANGE
    return low, low + max(bright, 1e-12) * FREESURFER_RANGE / FREESURFER_BRIGHT


_RULES = {"minmax": _minmax, "percentile": _percentile, "freesurfer": _freesurfer}
