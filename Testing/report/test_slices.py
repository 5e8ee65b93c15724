"""Slices: patient's right on the left, true proportions, whatever the orientation of the grid."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import CENTRE, GEOMETRIES, a_geometry
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.report.slices import anatomical_slices, centre_of_content

RIGHT, ANTERIOR, SUPERIOR = 0, 1, 2
ACROSS = {"axial": RIGHT, "coronal": RIGHT, "sagittal": ANTERIOR}
DOWN = {"axial": ANTERIOR, "coronal": SUPERIOR, "sagittal": SUPERIOR}
PERMUTED = Geometry.from_parts(
    (9, 13, 11), (1, 2, 3), np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]), CENTRE - (11, -12, -9)
)


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
