"""A grid knows where its voxels are, whatever its handedness, and refuses what no grid can be."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import CENTRE, GEOMETRIES, a_geometry
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry


def test_voxels_and_points_are_inverse_maps(any_geometry):
    voxels = np.random.default_rng(0).uniform(-5, 20, (7, 4, 3))
    assert np.allclose(any_geometry.world_to_voxel(any_geometry.voxel_to_world(voxels)), voxels, atol=1e-12)


def test_points_lists_every_voxel_centre(any_geometry):
    assert np.allclose(any_geometry.points()[3, 5, 7], any_geometry.voxel_to_world((3, 5, 7)))
    assert any_geometry.points().shape == (*any_geometry.shape, 3)


def test_parts_make_the_same_grid_again(any_geometry):
    g = any_geometry
    assert np.allclose(Geometry.from_parts(g.shape, g.spacing, g.direction, g.origin).affine, g.affine)


@pytest.mark.parametrize(
    ("name", "orientation", "is_right_handed"),
    [
        ("RAS", "RAS", True),
        ("LAS", "LAS", False),
        ("LPS", "LPS", True),
        ("oblique", "RAS", True),
        ("anisotropic", "RAS", True),
        ("left-handed oblique", "RPS", False),
    ],
)
def test_orientation_and_handedness(name, orientation, is_right_handed):
    geometry = a_geometry(name)
    assert geometry.orientation == orientation
    assert (np.linalg.det(geometry.direction) > 0) == is_right_handed


def test_a_permuted_grid_names_its_axes():
    affine = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    geometry = Geometry((4, 5, 6), affine)
    assert geometry.orientation == "LIA"
    assert geometry.axes_to_ras() == [(0, -1), (2, -1), (1, 1)]


def test_the_centre_is_the_mean_of_all_points(any_geometry):
    assert np.allclose(any_geometry.centre, any_geometry.points().reshape(-1, 3).mean(axis=0))
    assert np.allclose(any_geometry.centre, CENTRE)


def test_corners_bound_the_points():
    geometry = a_geometry("anisotropic")
    points = geometry.points().reshape(-1, 3)
    assert np.allclose(geometry.corners().min(axis=0), points.min(axis=0))
    assert np.allclose(geometry.corners().max(axis=0), points.max(axis=0))


def test_a_shifted_grid_is_a_window(any_geometry):
    window = any_geometry.shifted((2, -1, 3), (4, 5, 2))
    assert np.allclose(window.points()[0, 0, 0], any_geometry.voxel_to_world((2, -1, 3)))
    assert np.allclose(window.points()[3, 4, 1], any_geometry.voxel_to_world((5, 3, 4)))


def test_another_spacing_keeps_centre_axes_and_field_of_view(any_geometry):
    resized = any_geometry.with_spacing((1.1, 2.3, 0.7))
    assert np.allclose(resized.spacing, (1.1, 2.3, 0.7))
    assert np.allclose(resized.centre, any_geometry.centre)
    assert np.allclose(resized.direction, any_geometry.direction)
    extents, original = np.array(resized.shape) * resized.spacing, np.array(any_geometry.shape) * any_geometry.spacing
    assert (extents >= original - 1e-9).all()
    assert (extents < original + resized.spacing).all()


def test_grids_match_within_a_tolerance():
    geometry = a_geometry()
    affine = geometry.affine.copy()
    affine[0, 3] += 5e-4
    assert Geometry(geometry.shape, affine) == geometry
    affine[0, 3] += 1e-2
    assert Geometry(geometry.shape, affine) != geometry
    assert geometry.shifted((0, 0, 0), (2, 2, 2)) != geometry
    assert geometry != "RAS"


def test_a_grid_cannot_be_changed_behind_its_back():
    affine = np.eye(4)
    geometry = Geometry((2, 3, 4), affine)
    affine[0, 0] = 7
    assert geometry.affine[0, 0] == 1
    with pytest.raises(ValueError, match=r"read-only"):
        geometry.affine[0, 0] = 7


def test_text_names_shape_spacing_and_orientation():
    assert str(a_geometry("LAS")) == "14x12x10 voxels of 2 x 2 x 2 mm, LAS"


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 7), (0, 5, 6), (4, -5, 6)])
def test_impossible_extents_are_refused(shape):
    with pytest.raises(GeometryError, match=r"three positive extents"):
        Geometry(shape, np.eye(4))


@pytest.mark.parametrize(
    ("affine", "text"),
    [
        (np.eye(3), "must be 4x4"),
        (np.ones((4, 4)), "last row 0 0 0 1"),
        (np.diag([1, np.nan, 1, 1]), "NaN or infinity"),
        (np.diag([1, np.inf, 1, 1]), "NaN or infinity"),
        (np.diag([1, 0, 1, 1]), "zero entry"),
        (np.eye(4) + np.eye(4, k=1) * [0, 0.2, 0, 0], "sheared"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "sheared"),
    ],
)
def test_impossible_matrices_are_refused(affine, text):
    with pytest.raises(GeometryError, match=text):
        Geometry((4, 5, 6), affine)


def test_rounding_of_headers_is_no_shear():
    affine = a_geometry("oblique").affine.astype(np.float32).astype(float)
    assert Geometry((4, 5, 6), affine).shape == (4, 5, 6)


def test_every_named_grid_differs_from_the_others():
    grids = [a_geometry(name) for name in GEOMETRIES]
    assert all(a != b for i, a in enumerate(grids) for b in grids[:i])


@pytest.mark.parametrize("spacing", [1e-4, 1e-3, 1.0, 50.0])
def test_grids_are_equal_up_to_a_part_of_a_voxel_of_any_size(spacing):
    one = Geometry((5, 6, 7), np.diag([spacing, spacing, 2 * spacing, 1.0]))
    other, far = (one.shifted((part, 0, 0), one.shape) for part in (5e-4, 0.01))
    assert one == other and one != far
    assert not one.matches(other, tolerance_vox=1e-4)
