"""Images are sampled once, where the transform points, and agree with ITK on every grid."""

from __future__ import annotations

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
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.image_resampling import SLAB_VOXELS, slab_points, slabs
from VoxelMorphLib.core.io.itk import itk_image
from VoxelMorphLib.core.io.itk_transforms import to_itk
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField

ITK_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}


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
