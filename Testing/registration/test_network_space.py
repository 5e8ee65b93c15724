"""Images onto the network's grid and displacements back to millimetres."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from support.volumes import a_blob_image, a_geometry, any_geometry  # noqa: F401
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.registration.intensity_scale import normalise
from VoxelMorphLib.registration.network_space import decode, encode, network_grid, reoriented

ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*axes)
]


def sorted_points(geometry: Geometry) -> np.ndarray:
    points = geometry.points().reshape(-1, 3).round(6) + 0.0
    return points[np.lexsort(points.T)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_keeps_every_voxel_centre(orientation: str) -> None:
    geometry = a_geometry("oblique", (5, 4, 3))
    turned = reoriented(geometry, orientation)
    assert turned.orientation == orientation
    np.testing.assert_allclose(sorted_points(turned), sorted_points(geometry), atol=1e-5)


def test_an_image_stored_as_trained_is_not_interpolated() -> None:
    rng = np.random.default_rng(0)
    image = Image(rng.integers(0, 250, (10, 14, 12)).astype(np.uint8), a_geometry("RAS", (10, 14, 12), 1.0))
    space = NetworkSpace(voxel_size=1.0, orientation="LIA", shape=(16, 16, 16), multiple=16)
    grid = network_grid(image, space)
    tensor = encode(image, grid, space)[0, 0].numpy()
    assert tensor.shape == (16, 16, 16)
    expected = image.array[::-1, :, ::-1].transpose(0, 2, 1).astype(np.float32)
    np.testing.assert_array_equal(tensor[3:13, 2:14, 1:15], (expected - expected.min()) / np.ptp(expected))
    assert tensor[:3].max() == 0


def test_a_displacement_of_one_voxel_is_one_step_along_that_axis(any_geometry: Geometry) -> None:  # noqa: F811
    for axis in range(3):
        displacement = torch.zeros(1, 3, *any_geometry.shape)
        displacement[:, axis] = 1
        field = decode(displacement, any_geometry)
        here = any_geometry.voxel_to_world((2, 3, 4))
        there = any_geometry.voxel_to_world(np.array((2, 3, 4)) + np.eye(3)[axis])
        np.testing.assert_allclose(field.apply_to_points(here), there, atol=1e-5)


@pytest.mark.parametrize("multiple", [1, 8, 16])
def test_the_grid_covers_the_contents_and_divides(any_geometry: Geometry, multiple: int) -> None:  # noqa: F811
    image = a_blob_image(any_geometry)
    grid = network_grid(image, NetworkSpace(voxel_size=1.3, multiple=multiple, centring="foreground"))
    assert all(extent % multiple == 0 for extent in grid.shape)
    np.testing.assert_allclose(grid.spacing, 1.3)
    bright = any_geometry.points()[image.array > 0.5 * image.array.max()]
    voxels = grid.world_to_voxel(bright)
    assert (voxels > -1).all()
    assert (voxels < np.array(grid.shape)).all()


def test_a_field_of_view_beyond_the_trained_shape_is_centred_on_its_contents() -> None:
    array = np.zeros((40, 12, 12), np.float32)
    array[28:34, 4:8, 4:8] = 1
    image = Image(array, a_geometry("RAS", array.shape, 1.0))
    space = NetworkSpace(voxel_size=1.0, shape=(32, 16, 16), multiple=16, centring="foreground")
    grid = network_grid(image, space)
    assert grid.shape == (32, 16, 16)
    middle = grid.world_to_voxel(image.geometry.voxel_to_world((30.5, 5.5, 5.5)))
    assert 10 < middle[0] < 22


def test_contents_beyond_the_trained_shape_lengthen_the_grid() -> None:
    image = Image(np.random.default_rng(0).random((50, 12, 12)), a_geometry("RAS", (50, 12, 12), 1.0))
    grid = network_grid(image, NetworkSpace(voxel_size=1.0, shape=(32, 16, 16), multiple=16))
    assert grid.shape == (64, 16, 16)


def test_encoding_follows_the_transform() -> None:
    geometry = a_geometry("left-handed oblique", (24, 20, 18), 1.5)
    shift = np.eye(4)
    shift[:3, 3] = geometry.affine[:3, 0]
    space = NetworkSpace(orientation=geometry.orientation)
    plain = encode(a_blob_image(geometry), geometry, space)
    shifted = encode(a_blob_image(geometry), geometry, space, AffineTransform(shift))
    torch.testing.assert_close(shifted[:, :, :-1], plain[:, :, 1:], atol=1e-5, rtol=0)


def test_a_finely_sampled_image_is_smoothed_before_it_is_sampled_down() -> None:
    stripes = np.zeros((32, 8, 8), np.float32)
    stripes[::2] = 1
    image = Image(stripes, a_geometry("RAS", stripes.shape, 1.0))
    coarse = image.geometry.with_spacing(4.0)
    array = encode(image, coarse, NetworkSpace())[0, 0].numpy()
    assert np.ptp(array[1:-1]) < 0.1


def test_normalising_does_not_touch_the_image() -> None:
    image = a_blob_image(a_geometry())
    before = image.array.copy()
    for rule in ("minmax", "percentile", "freesurfer"):
        scaled = normalise(image, rule).array
        assert scaled.dtype == np.float32
        assert scaled.min() >= 0
        assert scaled.max() <= 1
    np.testing.assert_array_equal(image.array, before)


def test_freesurfer_intensities_are_divided_by_255_and_others_scaled_to_match() -> None:
    rng = np.random.default_rng(0)
    brain = np.clip(rng.normal(80, 18, (20, 20, 20)), 1, 249)
    brain[:8] = 0
    geometry = a_geometry("RAS", brain.shape)
    native = normalise(Image(brain.astype(np.uint8), geometry), "freesurfer").array
    np.testing.assert_array_equal(native, brain.astype(np.uint8).astype(np.float32) / np.float32(255))
    other = normalise(Image(brain * 37.5, geometry), "freesurfer").array
    assert abs(np.percentile(other[other > 0], 99) - 115 / 255) < 1e-3


def test_percentiles_of_a_nearly_empty_image_fall_back_to_its_range() -> None:
    array = np.zeros((20, 20, 20))
    array[3, 3, 3] = 5
    scaled = normalise(Image(array, a_geometry("RAS", array.shape)), "percentile").array
    assert scaled.max() == 1
