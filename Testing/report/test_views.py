"""Views: slices in radiological convention and true proportions, and maps that agree with known transforms."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import (  # noqa: F401
    CENTRE,
    GEOMETRIES,
    a_blob_image,
    a_geometry,
    a_smooth_field,
    any_geometry,
)
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField
from VoxelMorphLib.report.views import Window, anatomical_slices, centre_of_content, make_views

RIGHT, ANTERIOR, SUPERIOR = 0, 1, 2
ACROSS = {"axial": RIGHT, "coronal": RIGHT, "sagittal": ANTERIOR}
DOWN = {"axial": ANTERIOR, "coronal": SUPERIOR, "sagittal": SUPERIOR}
PERMUTED = Geometry.from_parts(
    (9, 13, 11), (1, 2, 3), np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]), CENTRE - (11, -12, -9)
)
IDENTITY = AffineTransform(np.eye(4))


@pytest.fixture(params=[*GEOMETRIES, "permuted"])
def geometry(request: pytest.FixtureRequest) -> Geometry:
    return PERMUTED if request.param == "permuted" else a_geometry(request.param)


def test_pictures_run_from_right_to_left_anterior_to_posterior_superior_to_inferior(geometry):
    for slice_ in anatomical_slices(geometry, (4, 5, 6)):
        points = slice_.cut(geometry.points())
        # RAS coordinates are positive towards R (in this product's RAS: +x is right), A and S.
        across, down = points[..., ACROSS[slice_.name]], points[..., DOWN[slice_.name]]
        assert (np.diff(across, axis=1) < 0).all(), slice_
        assert (np.diff(down, axis=0) < 0).all(), slice_


def test_letters_name_the_edges(geometry):
    letters = {slice_.name: slice_.letters for slice_ in anatomical_slices(geometry, (4, 5, 6))}
    assert letters == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "S", "I"),
        "sagittal": ("A", "P", "S", "I"),
    }


def test_sizes_are_millimetres():
    geometry = Geometry.from_parts((10, 20, 30), (1, 2, 0.5), np.eye(3), (0, 0, 0))
    sizes = {slice_.name: slice_.size for slice_ in anatomical_slices(geometry, (5, 10, 15))}
    assert sizes == {"axial": (10, 40), "coronal": (10, 15), "sagittal": (40, 15)}


def test_positions_are_those_of_the_chosen_voxel():
    geometry = Geometry.from_parts((10, 20, 30), (1, 2, 0.5), np.eye(3), (-3, -20, 7))
    positions = {slice_.name: slice_.position for slice_ in anatomical_slices(geometry, (2, 4, 8))}
    assert positions == pytest.approx({"axial": 7 + 4, "coronal": -20 + 8, "sagittal": -3 + 2})


def test_voxels_outside_the_grid_are_moved_inside(geometry):
    for slice_ in anatomical_slices(geometry, (-50, 500, 3.4)):
        assert 0 <= slice_.index < geometry.shape[slice_.axes[0]]


def test_a_slab_holds_the_slice_and_its_neighbours(geometry):
    array = np.arange(np.prod(geometry.shape)).reshape(geometry.shape)
    for voxel in ((4, 5, 6), (0, 0, 0), (99, 99, 99)):
        for slice_ in anatomical_slices(geometry, voxel):
            slab, middle = slice_.slab(margin=1)
            assert slab.shape[slice_.axes[0]] in (2, 3)
            points = np.take(slab.points(), middle, axis=slice_.axes[0])
            np.testing.assert_allclose(slice_.picture(points), slice_.cut(geometry.points()))
            assert slice_.cut(array).size == points[..., 0].size


def test_the_centre_follows_the_bright_voxels(geometry):
    array = np.full(geometry.shape, -5, np.int16)
    array[3, 4, 6] = array[5, 4, 6] = 200
    np.testing.assert_allclose(centre_of_content(Image(array, geometry)), (4, 4, 6), atol=1e-9)


def test_a_constant_image_is_centred_on_its_grid(geometry):
    image = Image(np.ones(geometry.shape), geometry)
    np.testing.assert_allclose(centre_of_content(image), (np.array(geometry.shape) - 1) / 2)


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
        np.testing.assert_allclose(view.bent.jacobian, 1.2**3, rtol=1e-4)
        points = view.slice.cut(view.slice.geometry.points())
        np.testing.assert_allclose(view.bent.displacement, 0.2 * np.linalg.norm(points - CENTRE, axis=-1), atol=1e-4)


def test_identity_lands_where_it_started(any_geometry):  # noqa: F811
    image = a_blob_image(any_geometry)
    for view in make_views(image, image, image, IDENTITY):
        spacing = image.geometry.spacing[list(view.slice.axes[1:])]
        np.testing.assert_allclose(np.abs(np.diff(view.bent.landing[..., 0], axis=1)), spacing[0], rtol=1e-4)
        np.testing.assert_allclose(np.abs(np.diff(view.bent.landing[..., 1], axis=0)), spacing[1], rtol=1e-4)
        assert (view.bent.displacement == 0).all()


def test_errors_are_distances_to_the_truth(any_geometry):  # noqa: F811
    image = a_blob_image(any_geometry)
    field = DisplacementField(a_smooth_field(any_geometry), any_geometry)
    shift = np.eye(4)
    shift[:3, 3] = 3, 0, 4
    for view in make_views(image, image, image, field, CompositeTransform((field, AffineTransform(shift)))):
        np.testing.assert_allclose(view.bent.error, 5, rtol=1e-3)


def test_unknown_truth_leaves_no_error(fixed, moving, forward):
    assert all(view.bent.error is None for view in make_views(fixed, moving, fixed, forward))


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
