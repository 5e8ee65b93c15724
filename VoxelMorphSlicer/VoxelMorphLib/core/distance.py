"""Distances of voxels to the edge of a mask."""

from __future__ import annotations

import numpy as np


def distance(mask: np.ndarray) -> np.ndarray:
    """Euclidean distance in voxels of every voxel outside `mask` to the mask; 0 inside, float64."""
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~np.asarray(mask, dtype=bool))


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in voxels to the other side: positive outside `mask`, negative inside, never 0, float64."""
    mask = np.asarray(mask, dtype=bool)
    return distance(mask) - distance(~mask)
