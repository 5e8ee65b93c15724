"""Transforms map points, compose, invert and become fields; all in RAS mm, fixed -> moving."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import CENTRE, a_geometry, a_smooth_field, rotation, smooth_displacement
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField


def an_affine(angle_deg: float = 15) -> AffineTransform:
    """A rotation and scaling about the middle of the test volumes, and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, 1, 2), angle_deg) * (1.1, 0.9, 1.05)
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + (1, -2, 0.5)
    return AffineTransform(matrix)


def a_field(name: str = "oblique", amplitude_mm: float = 2.0) -> DisplacementField:
    geometry = a_geometry(name, spacing=1.2, shape=(24, 22, 20))
    return DisplacementField(a_smooth_field(geometry, amplitude_mm), geometry)


def some_points(count: int = 200) -> np.ndarray:
    """Points well inside every grid of the test volumes."""
    return CENTRE + np.random.default_rng(1).uniform(-4, 4, (count, 3))


def test_an_affine_applies_its_matrix():
    affine, points = an_affine(), some_points()
    expected = (np.c_[points, np.ones(len(points))] @ affine.matrix.T)[:, :3]
    assert np.allclose(affine.apply_to_points(points), expected, atol=1e-12)


def test_points_keep_their_shape_and_are_not_changed():
    points = some_points(24).reshape(2, 3, 4, 3)
    before = points.copy()
    for transform in (an_affine(), a_field(), a_field().compose(an_affine())):
        mapped = transform.apply_to_points(points)
        assert mapped.shape == points.shape
        assert mapped.dtype == np.float64
        assert transform.apply_to_points(points[0, 0, 0]).shape == (3,)
    assert (points == before).all()


def test_a_field_is_exact_at_its_voxels(any_geometry):
    u = a_smooth_field(any_geometry)
    points = any_geometry.points()
    assert np.allclose(DisplacementField(u, any_geometry).apply_to_points(points), points + u, atol=1e-10)


def test_a_field_is_linear_between_its_voxels(any_geometry):
    u = a_smooth_field(any_geometry)
    field = DisplacementField(u, any_geometry)
    middle = any_geometry.voxel_to_world((4.5, 6, 3))
    assert np.allclose(field.apply_to_points(middle) - middle, (u[4, 6, 3] + u[5, 6, 3]) / 2, atol=1e-10)


def test_the_edge_of_a_field_continues_outside(any_geometry):
    u = a_smooth_field(any_geometry)
    field = DisplacementField(u, any_geometry)
    outside = any_geometry.voxel_to_world(((-20, 3, 4), (99, 99, 99)))
    expected = outside + np.array([u[0, 3, 4], u[-1, -1, -1]])
    assert np.allclose(field.apply_to_points(outside), expected, atol=1e-10)


def test_a_constant_field_is_a_shift(any_geometry):
    shift = np.array([3.0, -1.0, 2.0])
    field = DisplacementField(np.broadcast_to(shift, (*any_geometry.shape, 3)), any_geometry)
    points = some_points()
    assert np.allclose(field.apply_to_points(points), points + shift, atol=1e-12)
    assert np.allclose(field.inverse().apply_to_points(points), points - shift, atol=1e-5)


def test_compose_applies_self_first():
    points = some_points()
    for first, then in ((an_affine(), a_field()), (a_field(), an_affine())):
        expected = then.apply_to_points(first.apply_to_points(points))
        assert np.allclose(first.compose(then).apply_to_points(points), expected, atol=1e-12)


def test_compose_flattens_and_merges_neighbouring_matrices():
    a, b, field = an_affine(10), an_affine(-30), a_field()
    assert np.allclose(a.compose(b).matrix, b.matrix @ a.matrix)
    nested = a.compose(b).compose(field).compose(a.compose(b))
    assert [type(part) for part in nested.transforms] == [AffineTransform, DisplacementField, AffineTransform]
    joined = field.compose(a).compose(b.compose(field))
    assert [type(part) for part in joined.transforms] == [DisplacementField, AffineTransform, DisplacementField]
    assert np.allclose(joined.transforms[1].matrix, b.matrix @ a.matrix)


def test_composition_is_associative():
    a, b, c, points = an_affine(), a_field(), a_field("LPS", 1), some_points()
    left, right = a.compose(b).compose(c), a.compose(b.compose(c))
    assert np.allclose(left.apply_to_points(points), right.apply_to_points(points), atol=1e-12)


def test_the_inverse_of_an_affine_is_exact():
    points = some_points()
    assert np.allclose(an_affine().inverse().apply_to_points(an_affine().apply_to_points(points)), points, atol=1e-12)


@pytest.mark.parametrize("name", ["RAS", "LPS", "left-handed oblique"])
def test_the_numerical_inverse_of_a_field_undoes_it(name):
    field, points = a_field(name), some_points()
    inverse = field.inverse()
    assert np.abs(inverse.apply_to_points(field.apply_to_points(points)) - points).max() < 0.02
    assert np.abs(field.apply_to_points(inverse.apply_to_points(points)) - points).max() < 0.02
    assert inverse.inverse().array is field.array


def test_the_numerical_inverse_is_tight_at_its_voxels():
    field = a_field("anisotropic", 1.5)
    inside = field.inverse().map_slab(field.geometry, slice(8, 16))[:, 6:14, 6:14]
    expected = field.geometry.points()[8:16, 6:14, 6:14]
    assert np.abs(field.apply_to_points(inside) - expected).max() < 3e-3


def test_an_attached_inverse_is_used_as_it_is():
    other = a_field("LAS", 1.0)
    field = DisplacementField(a_field().array, a_field().geometry, inverse_field=other)
    inverse = field.inverse()
    assert inverse.array is other.array
    assert inverse.geometry is other.geometry
    assert inverse.inverse().array is field.array


def test_the_inverse_of_a_composite_undoes_it():
    points = some_points()
    for composite in (a_field().compose(an_affine()), an_affine().compose(a_field())):
        round_trip = composite.compose(composite.inverse())
        assert np.abs(round_trip.apply_to_points(points) - points).max() < 0.02


def test_the_inverse_of_merged_matrices_is_one_matrix():
    assert isinstance(CompositeTransform((an_affine(), an_affine())).inverse(), AffineTransform)


def test_a_folding_field_warns_with_numbers():
    geometry = a_geometry("RAS", (10, 10, 10), 1.0)
    folding = np.zeros((10, 10, 10, 3))
    folding[5:, :, :, 0] = -4.0
    with pytest.warns(UserWarning, match=r"no exact inverse: \d+ voxels are folded .* voxels \(.* mm\)"):
        DisplacementField(folding, geometry).inverse()


def test_an_unfinished_inverse_warns(monkeypatch):
    monkeypatch.setattr("VoxelMorphLib.core.transform.INVERSE_ITERATIONS", 0)
    with pytest.warns(UserWarning, match=r"0 voxels are folded and the round trip misses"):
        a_field("RAS", 3.0).inverse()


def test_an_invertible_field_does_not_warn(recwarn):
    a_field("left-handed oblique", 1.5).inverse()
    assert not recwarn.list


def test_to_displacement_samples_the_map_exactly(any_geometry):
    points = any_geometry.points()
    for transform in (an_affine(), a_field(), a_field().compose(an_affine())):
        field = transform.to_displacement(any_geometry)
        assert np.abs(points + field.array - transform.apply_to_points(points)).max() < 1e-5
        assert field.geometry is any_geometry


def test_a_field_on_its_own_grid_is_itself():
    field = a_field()
    assert field.to_displacement(a_geometry("oblique", spacing=1.2, shape=(24, 22, 20))) is field


def test_map_slab_equals_mapping_the_points(any_geometry):
    own = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    for transform in (own, a_field(), an_affine(), own.compose(an_affine()), an_affine().compose(own)):
        expected = transform.apply_to_points(any_geometry.points()[3:7])
        assert np.allclose(transform.map_slab(any_geometry, slice(3, 7)), expected, atol=1e-10)


def test_the_jacobian_determinant_is_the_volume_ratio(any_geometry):
    affine = an_affine()
    determinant = affine.to_displacement(any_geometry).jacobian_determinant()
    assert np.allclose(determinant.array, np.linalg.det(affine.matrix[:3, :3]), atol=1e-4)
    assert determinant.geometry is any_geometry


def test_the_jacobian_determinant_in_slabs_is_that_of_the_whole(any_geometry, monkeypatch):
    displacement = np.random.default_rng(4).normal(size=(*any_geometry.shape, 3)).astype(np.float32)
    field = DisplacementField(displacement, any_geometry)
    whole = jacobian_determinant(field.voxel_tensor())[0].numpy()
    monkeypatch.setattr("VoxelMorphLib.core.image_resampling.SLAB_VOXELS", 3 * any_geometry.shape[1] * 10)
    np.testing.assert_array_equal(field.jacobian_determinant().array, whole)


def test_the_jacobian_determinant_of_a_field_agrees_with_differences_in_mm():
    field, step = a_field("left-handed oblique"), 1e-3
    voxel = (12, 11, 10)
    point = field.geometry.voxel_to_world(voxel)
    around = point + step * np.concatenate([np.eye(3), -np.eye(3)])
    moved = around + smooth_displacement(around)
    expected = np.linalg.det((moved[:3] - moved[3:]) / (2 * step))
    assert field.jacobian_determinant().array[voxel] == pytest.approx(expected, abs=0.02)


def test_folded_voxels_are_counted():
    geometry = a_geometry("LAS", (8, 8, 8), 1.0)
    u = np.zeros((8, 8, 8, 3))
    assert DisplacementField(u, geometry).folded_voxels() == 0
    u[4, 4, 4, 0] = 5.0
    assert DisplacementField(u, geometry).folded_voxels() == 1


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.eye(3), "needs a 4x4 matrix"),
        (np.ones((4, 4)), "last row 0 0 0 1"),
        (np.diag([1, 1, 0, 1]), "cannot be inverted"),
        (np.diag([1, np.nan, 1, 1]), "cannot be inverted"),
    ],
)
def test_impossible_matrices_are_refused(matrix, text):
    with pytest.raises(GeometryError, match=text):
        AffineTransform(matrix)


def test_a_matrix_is_copied():
    matrix = np.eye(4)
    affine = AffineTransform(matrix)
    matrix[0, 3] = 9
    assert affine.matrix[0, 3] == 0


@pytest.mark.parametrize("shape", [(14, 12, 10), (3, 14, 12, 10), (14, 12, 9, 3), (14, 12, 10, 2)])
def test_a_field_that_does_not_fit_its_grid_is_refused(shape):
    with pytest.raises(GeometryError, match=r"needs an array of shape \(14, 12, 10, 3\), got"):
        DisplacementField(np.zeros(shape), a_geometry())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_field_with_holes_is_refused(value):
    u = np.zeros((*a_geometry().shape, 3))
    u[1, 2, 3] = value
    with pytest.raises(GeometryError, match=r"holds 3 NaN or infinite"):
        DisplacementField(u, a_geometry())


@pytest.mark.parametrize(("dtype", "kept"), [("float32", "float32"), ("float64", "float64"), ("int16", "float64")])
def test_the_precision_of_a_field_is_kept(dtype, kept):
    assert DisplacementField(np.zeros((*a_geometry().shape, 3), dtype), a_geometry()).array.dtype == kept


def test_an_empty_composite_is_refused():
    with pytest.raises(GeometryError, match=r"at least one part"):
        CompositeTransform(())
