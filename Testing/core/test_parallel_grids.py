"""Interpolation one axis at a time is the linear interpolation at points, for axes in any order and direction."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from support.volumes import GEOMETRIES, a_geometry
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.parallel_grids import ParallelGrids
from VoxelMorphLib.core.transform import DisplacementField

SHAPE, OTHER = (9, 7, 8), (11, 6, 13)


def at_points(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    voxels = Geometry(OTHER, matrix).points()
    parts = [map_coordinates(array[..., c], np.moveaxis(voxels, -1, 0), order=1, mode="nearest") for c in range(3)]
    return np.stack(parts, -1)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)], ids=str)
def test_any_order_and_direction(order, signs):
    array = np.random.default_rng(0).normal(size=(*SHAPE, 3))
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, order] * np.array([0.7, 1.3, 0.9]) * signs
    matrix[:3, 3] = np.where(matrix[:3, :3].sum(1) > 0, -1.2, 7.4)
    grids = ParallelGrids.between(matrix, OTHER)
    assert grids is not None
    expected = at_points(array, matrix)
    np.testing.assert_allclose(grids.sample(array), expected, atol=1e-12)
    np.testing.assert_allclose(grids.sample(array, slice(3, 8)), expected[3:8], atol=1e-12)


def test_axes_that_part_are_left_to_others():
    matrix = np.eye(4)
    matrix[0, 1] = 1e-3
    assert ParallelGrids.between(matrix, OTHER) is None
    matrix[0, 1] = 1e-6
    assert ParallelGrids.between(matrix, OTHER) is not None


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_field_on_a_finer_grid_is_that_at_its_points(name):
    own = a_geometry(name, SHAPE)
    finer = own.with_spacing(0.37 * own.spacing)
    field = DisplacementField(np.random.default_rng(1).normal(size=(*SHAPE, 3)).astype(np.float32), own)
    found = field.to_displacement(finer).array
    np.testing.assert_allclose(finer.points() + found, field.apply_to_points(finer.points()), atol=1e-5)


def test_a_grid_of_one_slice():
    array = np.arange(6.0).reshape(1, 2, 1, 3)
    assert (ParallelGrids.between(np.eye(4), (3, 2, 2)).sample(array) == array).all()
