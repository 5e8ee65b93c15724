"""Padding around the centre and zooming without interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from VoxelMorphLib.core.arrays import bounding_box, pad_centred, zoom_nearest
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
