"""Views: what is drawn agrees with transforms whose maps are known."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import CENTRE, a_blob_image, a_geometry, a_smooth_field, any_geometry  # noqa: F401
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField
from VoxelMorphLib.report.views import Window, make_views

IDENTITY = AffineTransform(np.eye(4))


def scaling_about_centre(factor: float) -> AffineTransform:
    matrix = np.diag([factor, factor, factor, 1.0])
    matrix[:3, 3] = (1 - factor) * CENTRE
    return AffineTransform(matrix)


def test_the_same_scene_on_two_grids_looks_the_same_by_header(any_geometry):  # noqa: F811
    fixed = a_blob_image(any_geometry)
    moving = a_blob_image(a_geometry("oblique", (40, 40, 40), 1.0))
    for view in make_views(fixed, moving, fixed, IDENTITY):
        inside = view.fixed[2:-2, 2:-2] > 0.2
        assert np.abs(view.moving - view.fixed)[2:-2, 2:-2][inside].mean() < 0.08


def test_a_scaling_shows_its_volume_ratio_and_displacement(any_geometry):  # noqa: F811
    image = a_blob_image(any_geometry)
    for view in make_views(image, image, image, scaling_about_centre(1.2)):
        np.testing.assert_allclose(view.jacobian, 1.2**3, rtol=1e-4)
        points = view.slice.cut(view.slice.geometry.points())
        np.testing.assert_allclose(view.displacement, 0.2 * np.linalg.norm(points - CENTRE, axis=-1), atol=1e-4)


def test_identity_lands_where_it_started(any_geometry):  # noqa: F811
    image = a_blob_image(any_geometry)
    for view in make_views(image, image, image, IDENTITY):
        spacing = image.geometry.spacing[list(view.slice.axes[1:])]
        np.testing.assert_allclose(np.abs(np.diff(view.landing[..., 0], axis=1)), spacing[0], rtol=1e-4)
        np.testing.assert_allclose(np.abs(np.diff(view.landing[..., 1], axis=0)), spacing[1], rtol=1e-4)
        assert (view.displacement == 0).all()


def test_errors_are_distances_to_the_truth(any_geometry):  # noqa: F811
    image = a_blob_image(any_geometry)
    field = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    shift = np.eye(4)
    shift[:3, 3] = 3, 0, 4
    for view in make_views(image, image, image, field, CompositeTransform((field, AffineTransform(shift)))):
        np.testing.assert_allclose(view.error, 5, rtol=1e-3)


def test_unknown_truth_leaves_no_error(fixed, moving, forward):
    assert all(view.error is None for view in make_views(fixed, moving, fixed, forward))


def test_air_around_the_contents_is_cropped():
    geometry = a_geometry("LPS", (60, 50, 40), 2.0)
    array = np.zeros(geometry.shape)
    array[28:34, 22:26, 18:22] = 7
    image = Image(array, geometry)
    for view in make_views(image, image, image, IDENTITY):
        assert max(view.slice.size) <= 12 + 2 * 12
        assert view.fixed.max() == view.moved.max() == 1


def test_inputs_stay_as_they_are(fixed, moving, forward):
    before = fixed.array.copy(), moving.array.copy()
    make_views(fixed, moving, fixed, forward)
    np.testing.assert_array_equal(fixed.array, before[0])
    np.testing.assert_array_equal(moving.array, before[1])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_windows_ignore_a_few_extreme_voxels(dtype):
    array = np.tile(np.arange(100, dtype=dtype), 10).reshape(10, 10, 10)
    array[0, 0, 0] = 127
    window = Window.of(Image(array, a_geometry(shape=(10, 10, 10))))
    assert window.high <= 99
    assert window(array).min() == 0
    assert window(array).max() == 1


def test_windows_of_mostly_empty_images_show_the_rest():
    array = np.zeros((10, 10, 10), np.uint8)
    array[5, 5, 5] = 9
    window = Window.of(Image(array, a_geometry(shape=(10, 10, 10))))
    assert window(array)[5, 5, 5] == 1
