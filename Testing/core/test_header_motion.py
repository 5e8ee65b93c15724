"""A volume moved by its header keeps its voxels and lands where resampling would show it."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map, rotation
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.header_motion import moved_header
from VoxelMorphLib.core.series import Series
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField


def a_motion() -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((1, 2, -1), 25), (6, -4, 3)
    return AffineTransform(matrix)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_voxel_lies_where_the_transform_finds_it(name):
    moving, forward = a_blob_image(a_geometry(name)), a_motion()
    moved = moved_header(moving, forward)
    assert moved.array is moving.array
    np.testing.assert_allclose(forward.apply_to_points(moved.geometry.points()), moving.geometry.points(), atol=1e-9)


def test_labels_and_series_stay_what_they_are():
    labels = a_label_map(a_geometry())
    assert type(moved_header(labels, a_motion())) is type(labels)
    series = Series(np.zeros((2, 3, 4, 5), np.int16), a_geometry(shape=(2, 3, 4)), kind="frames", step=2.0)
    assert moved_header(series, a_motion()).step == 2.0


def test_what_a_header_cannot_tell_is_refused():
    image, shear = a_blob_image(a_geometry()), np.eye(4)
    shear[0, 1] = 0.1
    with pytest.raises(GeometryError, match=r"shears the volume .* which a header cannot tell"):
        moved_header(image, AffineTransform(shear))
    field = DisplacementField(np.zeros((*image.geometry.shape, 3)), image.geometry)
    with pytest.raises(GeometryError, match="bends the volume, which a header cannot tell"):
        moved_header(image, field)
