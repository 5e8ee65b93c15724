"""Voxels that coincide are copied: the same values as by sampling, and nothing where they do not coincide."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from support.volumes import GEOMETRIES, a_geometry
from VoxelMorphLib.core.coinciding import copied
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField, Transform

TURNS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


class Sampled(Transform):
    """The identity as a map of which nobody knows that it is linear."""

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        return np.array(points, np.float64)

    def inverse(self) -> Transform:
        return self


def turned(geometry: Geometry, order, signs, start=(0, 0, 0), extent: int = 0) -> Geometry:
    """The same voxels with permuted and flipped axes, from `start` on and `extent` longer than the original."""
    affine = np.eye(4)
    affine[:3, :3] = geometry.affine[:3, order] * signs
    first = [0 if sign > 0 else geometry.shape[axis] - 1 for axis, sign in zip(order, signs)]
    affine[:3, 3] = geometry.voxel_to_world(np.array(first)[np.argsort(order)])
    shape = [geometry.shape[axis] for axis in order]
    return Geometry(tuple(shape), affine).shifted(start, [n + extent for n in shape])


def an_image(geometry: Geometry, dtype=np.float32) -> Image:
    values = np.random.default_rng(0).uniform(-50, 200, geometry.shape)
    return Image(values.astype(dtype), geometry)


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_turned_cropped_and_padded_voxels_are_those_that_sampling_finds(order, signs):
    image = an_image(a_geometry("oblique", (7, 6, 5)))
    grid = turned(image.geometry, list(order), signs, (2, -1, 1), 1)
    found = IDENTITY.resample(image, grid)
    np.testing.assert_allclose(found.array, Sampled().resample(image, grid).array, atol=1e-3)
    assert np.isin(found.array, image.array).all()
    assert found.geometry is grid
    assert found.array.flags.c_contiguous and not np.shares_memory(found.array, image.array)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_every_interpolation_leaves_voxel_values_alone(name, interpolation):
    image = an_image(a_geometry(name, (7, 6, 5)))
    grid = turned(image.geometry, [2, 0, 1], (1, -1, -1))
    back = IDENTITY.resample(IDENTITY.resample(image, grid, interpolation), image.geometry, interpolation)
    np.testing.assert_array_equal(back.array, image.array)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, ">i2", np.float16, np.float32, np.float64])
def test_the_voxel_type_is_kept(dtype):
    image = an_image(a_geometry("LPS", (5, 4, 3)), dtype)
    grid = turned(image.geometry, [1, 0, 2], (1, 1, -1), (-1, 0, 0), 2)
    found, sampled = (transform.resample(image, grid) for transform in (IDENTITY, Sampled()))
    assert found.array.dtype == image.array.dtype
    np.testing.assert_allclose(found.array.astype(float), sampled.array.astype(float), atol=0.1)


@pytest.mark.parametrize(("dtype", "background", "expected"), [(np.uint8, -3.2, 0), (np.int16, 7.6, 8)])
def test_the_background_becomes_a_voxel_value(dtype, background, expected):
    image = an_image(a_geometry("RAS", (4, 4, 4)), dtype)
    grid = image.geometry.shifted((-1, 0, 0), (5, 4, 4))
    for transform in (IDENTITY, Sampled()):
        assert (transform.resample(image, grid, background=background).array[0] == expected).all()


def test_large_label_numbers_survive():
    labels = LabelMap(np.full((3, 3, 3), 2**60 + 1, np.int64), a_geometry("RAS", (3, 3, 3)))
    moved = IDENTITY.resample(labels, labels.geometry.shifted((-1, 0, 0), (4, 3, 3)))
    assert set(np.unique(moved.array).tolist()) == {0, 2**60 + 1}


@pytest.mark.parametrize(("order", "signs"), TURNS[::5])
def test_a_field_continues_its_border(order, signs):
    geometry = a_geometry("left-handed oblique", (6, 7, 5))
    array = np.random.default_rng(1).normal(size=(*geometry.shape, 3)).astype(np.float32)
    field = DisplacementField(array, geometry)
    grid = turned(geometry, list(order), signs, (-2, 1, -1), 3)
    sampled = Transform.to_displacement(field, grid)
    np.testing.assert_allclose(field.to_displacement(grid).array, sampled.array, atol=1e-4)


def test_a_map_from_voxel_to_voxel_copies_too():
    """A shift by whole voxels and a turn by 90 degrees."""
    image = an_image(Geometry((6, 5, 4), np.diag([2.0, 2, 2, 1])))
    matrix = np.array([[0, -1, 0, 8], [1, 0, 0, -2], [0, 0, 1, 2], [0, 0, 0, 1]], float)
    array = AffineTransform(matrix).resample(image, image.geometry, "linear", 0).array
    np.testing.assert_array_equal(array[1, :5, :3], image.array[4::-1, 0, 1:])


@pytest.mark.parametrize(
    "change",
    [
        np.diag([1.001, 1, 1, 1]),
        np.array([[1, 0, 0, 0.01], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.array([[1, 0.001, 0, 0], [-0.001, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.diag([2.0, 1, 1, 1]),
        np.array([[1, 0, 0, 50], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    ],
    ids=["scaled", "shifted", "turned", "every second", "apart", "sheared"],
)
def test_voxels_that_do_not_coincide_are_not_copied(change):
    assert copied(np.zeros((9, 8, 7)), change, (9, 8, 7)) is None
    assert copied(np.zeros((9, 8, 7)), np.eye(4), (9, 8, 7)) is not None
