"""Images and label maps hold real 3-D arrays on their grid; what cannot be registered is named."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.errors import ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap, check_registrable

GEOMETRY = Geometry((2, 3, 4), np.eye(4))


def an_image_of(array: np.ndarray, name: str = "mri") -> Image:
    return Image(array, Geometry(array.shape, np.eye(4)), name)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float32", "float64"])
def test_voxel_types_are_kept(dtype):
    assert Image(np.zeros((2, 3, 4), dtype), GEOMETRY).array.dtype == dtype


def test_with_array_keeps_kind_grid_and_name():
    labels = a_label_map(a_geometry())
    other = labels.with_array(labels.array + 1)
    assert type(other) is LabelMap
    assert other.geometry is labels.geometry
    assert other.name == "labels"
    assert labels.with_array(labels.array, "new").name == "new"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((2, 3)), r"mri has 2 dimensions \(2, 3\)"),
        (np.zeros((2, 3, 4, 5)), "mri has 4 dimensions"),
        (np.zeros((2, 3, 5)), r"mri has shape \(2, 3, 5\) but its grid has \(2, 3, 4\)"),
        (np.zeros((2, 3, 4), complex), "type complex128"),
        (np.zeros((2, 3, 4), object), "type object"),
    ],
)
def test_what_is_no_volume_is_refused(array, text):
    with pytest.raises(ImageError, match=text):
        Image(array, GEOMETRY, "mri")


def test_whole_numbers_in_float_become_integers():
    labels = LabelMap(np.full((2, 3, 4), 17.0002), GEOMETRY)
    assert labels.array.dtype == np.int32
    assert labels.labels().tolist() == [17]


def test_labels_leave_out_the_background():
    assert a_label_map(a_geometry()).labels().tolist() == [2, 17, 53]


@pytest.mark.parametrize("value", [0.4, np.nan, np.inf])
def test_a_label_map_of_fractions_is_refused(value):
    with pytest.raises(ImageError, match=r"seg is not a label map"):
        LabelMap(np.full((2, 3, 4), value), GEOMETRY, "seg")


def test_a_usual_volume_is_registrable():
    check_registrable(a_blob_image(a_geometry()), "fixed")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(12).reshape(1, 12, 1), r"volume mri has shape \(1, 12, 1\): only one axis has several voxels"),
        (np.where(np.arange(24) < 2, np.nan, 1.0).reshape(2, 3, 4), "holds 2 NaN or infinite"),
        (np.zeros((2, 3, 4)), "empty or constant .every voxel is 0"),
        (np.full((2, 3, 4), 7, np.uint8), "empty or constant .every voxel is 7"),
    ],
)
def test_what_cannot_be_registered_is_named(array, text):
    with pytest.raises(ImageError, match=text):
        check_registrable(an_image_of(array), "moving")


def test_large_label_numbers_stored_as_floats_are_kept():
    numbers = np.array([0.0, 1.0, 2.0**40]).reshape(3, 1, 1)
    assert LabelMap(numbers, a_geometry("RAS", (3, 1, 1), 1.0)).labels().tolist() == [1, 2**40]
