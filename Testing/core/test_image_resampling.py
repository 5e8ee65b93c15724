"""Images are sampled once, where the transform points, agree with ITK, and are copied where voxels coincide."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import (
    GEOMETRIES,
    a_blob_image,
    a_geometry,
    a_label_map,
    a_smooth_field,
    blob_values,
    rotation,
    smooth_displacement,
)
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.image_resampling import SLAB_VOXELS, copy_if_aligned, slab_points, slabs
from VoxelMorphLib.core.io.itk import itk_image
from VoxelMorphLib.core.io.itk_transforms import to_itk
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField, Transform

ITK_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}
TURNS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def a_rigid(angle_deg: float = 7) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((1, 1, 0), angle_deg), (1.3, -0.7, 2.1)
    return AffineTransform(matrix)


def resampled_by_itk(image: Image, transform, geometry, interpolation: str, background: float) -> np.ndarray:
    grid = itk_image(np.zeros(geometry.shape, np.uint8), geometry)
    moving = itk_image(image.array, image.geometry)
    interpolator = ITK_INTERPOLATORS[interpolation]
    moved = sitk.Resample(moving, grid, to_itk(transform), interpolator, float(background), moving.GetPixelID())
    return sitk.GetArrayFromImage(moved).transpose()


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Fraction of voxels that differ by at most 1e-4 of the range."""
    return float((np.abs(ours - theirs) <= 1e-4 * np.ptp(theirs)).mean())


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_affine_and_field_agree_with_itk(name, interpolation):
    fixed, moving = a_geometry(name), a_blob_image(a_geometry("left-handed oblique", (17, 13, 9), 1.7))
    transform = DisplacementField(a_smooth_field(fixed), fixed).compose(a_rigid())
    moved = transform.resample(moving, fixed, interpolation, background=-5)
    expected = resampled_by_itk(moving, transform, fixed, interpolation, -5)
    assert agreement(moved.array, expected) > (0.995 if interpolation == "nearest" else 0.9999)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_known_warp_of_a_known_scene_comes_back(name):
    fixed = a_geometry(name, (16, 16, 16), 1.2)
    moving = a_blob_image(a_geometry("left-handed oblique", (50, 60, 30), 1.0))
    field = DisplacementField(a_smooth_field(fixed), fixed)
    moved = field.resample(moving, fixed, "cubic")
    points = fixed.points()
    expected = 100 * blob_values(points + smooth_displacement(points))
    assert np.abs(moved.array - expected).max() < 1.0


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
def test_identity_on_the_same_grid_changes_nothing(any_geometry, interpolation):
    image = a_blob_image(any_geometry)
    moved = IDENTITY.resample(image, any_geometry, interpolation)
    assert np.abs(moved.array - image.array).max() < 1e-3
    assert moved.geometry is any_geometry
    assert moved.name == image.name


def test_labels_stay_labels(any_geometry):
    labels = a_label_map(a_geometry("oblique", (20, 18, 16), 1.5))
    moved = a_rigid().resample(labels, any_geometry, "linear")
    assert isinstance(moved, LabelMap)
    assert moved.array.dtype == np.int16
    assert set(np.unique(moved.array)) <= {0, 2, 17, 53}
    assert (moved.array == resampled_by_itk(labels, a_rigid(), any_geometry, "nearest", 0)).mean() > 0.999


def test_large_label_numbers_survive():
    geometry = a_geometry("LAS")
    labels = LabelMap(np.full(geometry.shape, 2**62 + 1, np.int64), geometry)
    assert (IDENTITY.resample(labels, geometry).array == 2**62 + 1).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "int64", "float16", "float64", ">f4", ">i2"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
def test_voxel_types_are_kept(dtype, interpolation):
    geometry = a_geometry("anisotropic")
    array = (100 * blob_values(geometry.points())).astype(dtype)
    moved = a_rigid().resample(Image(array, geometry), geometry, interpolation)
    assert moved.array.dtype == array.dtype
    assert moved.array.max() > 0


def test_integers_are_rounded_and_clipped():
    geometry = a_geometry("RAS", (8, 8, 8), 1.0)
    array = np.zeros(geometry.shape, np.uint8)
    array[4:] = 255
    half = np.eye(4)
    half[0, 3] = 0.25
    assert AffineTransform(half).resample(Image(array, geometry), geometry).array[3, 4, 4] == 64
    ringing = AffineTransform(half).resample(Image(array.astype(float), geometry), geometry, "cubic").array
    clipped = AffineTransform(half).resample(Image(array, geometry), geometry, "cubic").array
    assert ringing.min() < -1
    assert ringing.max() > 256
    assert np.abs(clipped - np.clip(ringing, 0, 255)).max() <= 0.501


def test_the_background_is_the_minimum_of_images_and_zero_of_labels():
    geometry, far = a_geometry(), np.eye(4)
    far[0, 3] = 500
    image = Image(np.full(geometry.shape, -1000, np.int16), geometry)
    assert (AffineTransform(far).resample(image, geometry).array == -1000).all()
    assert (AffineTransform(far).resample(image, geometry, background=7).array == 7).all()
    labels = LabelMap(np.full(geometry.shape, 5), geometry)
    assert (AffineTransform(far).resample(labels, geometry).array == 0).all()


def test_an_even_border_goes_on_whether_it_is_dark_or_bright():
    geometry = a_geometry()
    away = Geometry(geometry.shape, geometry.affine @ np.array([[1, 0, 0, 99], *np.eye(4)[1:]]))
    ramp = np.linspace(20, 200, np.prod(geometry.shape)).reshape(geometry.shape).astype(np.uint8)
    for border in (0, 255):
        image = Image(np.pad(ramp[1:-1, 1:-1, 1:-1], 1, constant_values=border), geometry, "slide")
        assert (IDENTITY.resample(image, away).array == border).all()
    assert (IDENTITY.resample(Image(ramp, geometry, "crop"), away).array == ramp.min()).all()


def test_voxels_reach_half_a_spacing_beyond_their_centres():
    geometry = a_geometry("RAS", (6, 6, 6), 2.0)
    image = Image(np.ones(geometry.shape), geometry)
    for millimetres, inside in ((0.9, True), (1.1, False)):
        shift = np.eye(4)
        shift[0, 3] = millimetres
        moved = AffineTransform(shift).resample(image, geometry, background=0)
        assert bool(moved.array[-1].all()) is inside
        assert moved.array[:-1].all()


def test_the_input_is_not_changed():
    image = a_blob_image(a_geometry("LPS"))
    before = image.array.copy()
    for interpolation in ("linear", "cubic", "nearest"):
        a_rigid().resample(image, a_geometry(), interpolation)
    assert (image.array == before).all()


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ConfigError, match=r"Unknown interpolation 'lanczos'\. Choose one of nearest, linear, cubic"):
        IDENTITY.resample(a_blob_image(a_geometry()), a_geometry(), "lanczos")


def test_slabs_cover_a_grid_once():
    geometry = a_geometry("oblique", (37, 200, 700))
    pieces = list(slabs(geometry))
    assert [piece.start for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]
    assert (pieces[0].start, pieces[-1].stop) == (0, 37)
    assert all((piece.stop - piece.start) * 200 * 700 <= SLAB_VOXELS for piece in pieces)


def test_many_slabs_give_what_one_gives(monkeypatch, any_geometry):
    image = a_blob_image(a_geometry("LAS", (20, 20, 20), 1.5))
    whole = a_rigid().resample(image, any_geometry).array
    monkeypatch.setattr("VoxelMorphLib.core.image_resampling.SLAB_VOXELS", 1)
    assert (a_rigid().resample(image, any_geometry).array == whole).all()


def test_the_points_of_a_slab_are_those_of_the_grid(any_geometry):
    assert np.allclose(slab_points(any_geometry, slice(5, 9)), any_geometry.points()[5:9], atol=1e-12)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(("dtype", "lowest"), [(np.uint8, 0), (np.int16, -1000), (np.float32, -1000)])
def test_a_background_outside_the_range_of_the_voxels_is_clipped(interpolation, dtype, lowest):
    image = Image(np.full((4, 4, 4), 7, dtype), a_geometry("RAS", (4, 4, 4), 1.0))
    away = image.geometry.shifted((100, 0, 0), (2, 2, 2))
    moved = IDENTITY.resample(image, away, interpolation, background=-1000)
    assert moved.array.dtype == dtype and (moved.array == lowest).all()


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


def a_random_image(geometry: Geometry, dtype=np.float32) -> Image:
    values = np.random.default_rng(0).uniform(-50, 200, geometry.shape)
    return Image(values.astype(dtype), geometry)


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_turned_cropped_and_padded_voxels_are_those_that_sampling_finds(order, signs):
    image = a_random_image(a_geometry("oblique", (7, 6, 5)))
    grid = turned(image.geometry, list(order), signs, (2, -1, 1), 1)
    found = IDENTITY.resample(image, grid)
    np.testing.assert_allclose(found.array, Sampled().resample(image, grid).array, atol=1e-3)
    assert np.isin(found.array, image.array).all()
    assert found.geometry is grid
    assert found.array.flags.c_contiguous and not np.shares_memory(found.array, image.array)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_every_interpolation_leaves_voxel_values_alone(name, interpolation):
    image = a_random_image(a_geometry(name, (7, 6, 5)))
    grid = turned(image.geometry, [2, 0, 1], (1, -1, -1))
    back = IDENTITY.resample(IDENTITY.resample(image, grid, interpolation), image.geometry, interpolation)
    np.testing.assert_array_equal(back.array, image.array)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, ">i2", np.float16, np.float32, np.float64])
def test_copying_keeps_the_voxel_type(dtype):
    image = a_random_image(a_geometry("LPS", (5, 4, 3)), dtype)
    grid = turned(image.geometry, [1, 0, 2], (1, 1, -1), (-1, 0, 0), 2)
    found, sampled = (transform.resample(image, grid) for transform in (IDENTITY, Sampled()))
    assert found.array.dtype == image.array.dtype
    np.testing.assert_allclose(found.array.astype(float), sampled.array.astype(float), atol=0.1)


@pytest.mark.parametrize(("dtype", "background", "expected"), [(np.uint8, -3.2, 0), (np.int16, 7.6, 8)])
def test_the_background_becomes_a_voxel_value(dtype, background, expected):
    image = a_random_image(a_geometry("RAS", (4, 4, 4)), dtype)
    grid = image.geometry.shifted((-1, 0, 0), (5, 4, 4))
    for transform in (IDENTITY, Sampled()):
        assert (transform.resample(image, grid, background=background).array[0] == expected).all()


def test_large_label_numbers_survive_copying():
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
    image = a_random_image(Geometry((6, 5, 4), np.diag([2.0, 2, 2, 1])))
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
    assert copy_if_aligned(np.zeros((9, 8, 7)), change, (9, 8, 7)) is None
    assert copy_if_aligned(np.zeros((9, 8, 7)), np.eye(4), (9, 8, 7)) is not None
