"""Distances to the edge of a mask."""

from __future__ import annotations

import numpy as np
from VoxelMorphLib.core.distance import distance, signed_distance


def a_square() -> np.ndarray:
    mask = np.zeros((9, 9), dtype=bool)
    mask[3:6, 3:6] = True
    return mask


def test_distances_are_euclidean_outside_and_zero_inside():
    result = distance(a_square())
    assert result[4, 4] == 0 and result[0, 4] == 3
    assert result[0, 0] == np.hypot(3, 3)


def test_signed_distances_are_negative_inside_and_never_zero():
    result = signed_distance(a_square().astype(np.uint8))
    assert result[4, 4] == -2 and result[3, 4] == -1 and result[2, 4] == 1 and result[0, 4] == 3
    assert np.abs(result).min() == 1
