"""Initial transforms that cannot be meant are refused, and unusual ones are told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.registration.initial import check_initial, initial_warnings
from VoxelMorphLib.registration.register import register_pair

GRID = a_geometry("RAS", (20, 18, 16), 1.5)
MIRROR = AffineTransform(np.diag([-1.0, 1.0, 1.0, 1.0]))


def field(value: float = 0.0, voxels: slice = slice(0, 0)) -> DisplacementField:
    array = np.zeros((*GRID.shape, 3), np.float32)
    array[voxels, 7, 8, 0] = value
    return DisplacementField(array, GRID)


@pytest.mark.parametrize("value", [1e7, -1e30])
def test_a_field_with_one_wild_voxel_is_refused(value: float) -> None:
    image = a_blob_image(GRID)
    with pytest.raises(GeometryError, match=r"displaces 1 of its 5760 voxels by up to 1e.* looks damaged"):
        register_pair(image, image, initial=field(value, slice(9, 10)))


def test_a_matrix_that_flattens_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"flattens the volume: it scales by 1e\+03, 1e\+03, 1e-05"):
        check_initial(AffineTransform(np.diag([1e3, 1e3, 1e-5, 1.0])))


def test_usual_transforms_pass_in_silence() -> None:
    far = np.eye(4)
    far[:3, 3] = 5000, -300, 20
    for transform in (IDENTITY, AffineTransform(far), field(), field(0.5, slice(9, 10)).compose(AffineTransform(far))):
        check_initial(transform)
        assert initial_warnings(transform) == ()
    shifted = DisplacementField(np.full((*GRID.shape, 3), 4000.0), GRID)
    check_initial(shifted)


def test_mirrors_and_folds_are_told_as_such() -> None:
    assert "mirrors the volume (its determinant is negative)" in initial_warnings(MIRROR)[0]
    assert "folds" in initial_warnings(field(6.0, slice(9, 12)))[0]
    assert initial_warnings(MIRROR.compose(field()).compose(MIRROR)) == ()


def test_a_mirror_is_not_called_folded_voxels() -> None:
    image = a_blob_image(GRID)
    mirrored = image.with_array(image.array[::-1].copy())
    centre = AffineTransform(np.array([[-1, 0, 0, 2 * GRID.centre[0]], *np.eye(4)[1:]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = register_pair(image, mirrored, "linear", initial=centre).report
    assert report.folded_voxels == 0 and report.jacobian_min > 0.5
    assert "mirrors the volume" in report.warnings[0]
