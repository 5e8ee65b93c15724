"""Arrays and masks: padding, zooming, bounding boxes and distances."""

from __future__ import annotations

import numpy as np
import pytest
from VoxelMorphLib.core.arrays import bounding_box, distance, pad_centred, signed_distance, zoom_nearest
from VoxelMorphLib.core.errors import GeometryError


def test_the_array_lies_in_the_middle_and_the_odd_surplus_behind():
    padded = pad_centred(np.ones((2, 3), dtype=np.int16), (5, 3), value=9)
    assert padded.dtype == np.int16
    assert padded[:, 0].tolist() == [9, 1, 1, 9, 9]


@pytest.mark.parametrize("shape", [(1, 3), (5, 3, 1)])
def test_padding_to_less_is_refused(shape):
    with pytest.raises(GeometryError, match=r"Cannot pad \(2, 3\) to"):
        pad_centred(np.ones((2, 3)), shape)


def test_zooming_repeats_voxels():
    labels = np.arange(6).reshape(2, 3) * 100
    zoomed = zoom_nearest(labels, 2)
    assert zoomed.shape == (4, 6) and set(zoomed.flat) <= set(labels.flat)
    assert zoomed[0, 0] == labels[0, 0] and zoomed[-1, -1] == labels[-1, -1]
    assert zoom_nearest(labels, (1, 2)).shape == (2, 6)


def test_the_bounding_box_holds_all_that_is_set_and_no_more():
    mask = np.zeros((6, 7, 8), bool)
    assert mask[bounding_box(mask)].size == 0
    mask[1, 2, 7] = mask[4, 2, 3] = True
    assert bounding_box(mask) == (slice(1, 5), slice(2, 3), slice(3, 8))


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
