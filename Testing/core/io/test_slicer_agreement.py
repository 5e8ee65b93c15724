"""Slicer's own file readers and writers understand our files, and we theirs; on real MRML, without the application."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import CENTRE, a_blob_image, a_geometry, a_smooth_field, rotation
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import kind_of, read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

GRID_FORMATS = (".h5", ".tfm", ".nrrd", ".nhdr", ".mha", ".nii", ".nii.gz")


def an_affine() -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, 1, 2), 12) * 1.07
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + (3, -2, 5)
    return AffineTransform(matrix)


def a_field(geometry) -> DisplacementField:
    return DisplacementField(a_smooth_field(geometry), geometry)


def mapped_by_slicer(node, points: np.ndarray) -> np.ndarray:
    from support.mrml_nodes import map_from_world

    return map_from_world(node, points)


@pytest.fixture
def load(application, scene):
    """Load a transform file as Slicer's Transforms module does."""
    return lambda path: application.logics["Transforms"].AddTransform(str(path), scene)


@pytest.fixture
def save(scene):
    """Save a transform node as Slicer does."""

    def write(node, path):
        storage = scene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
        storage.SetFileName(str(path))
        assert storage.WriteData(node)
        return path

    return write


@pytest.mark.parametrize("extension", GRID_FORMATS)
def test_slicer_maps_voxels_through_our_field(tmp_path, load, any_geometry, extension):
    """At voxel centres: between them Slicer interpolates a field from a file with cubic splines."""
    field = a_field(any_geometry)
    node = load(write_transform(field, tmp_path / f"x{extension}"))
    assert node.IsA("vtkMRMLGridTransformNode")
    points = any_geometry.points().reshape(-1, 3)
    assert np.abs(mapped_by_slicer(node, points) - field.apply_to_points(points)).max() < 1e-4


@pytest.mark.parametrize("extension", [".h5", ".tfm", ".txt"])
def test_slicer_maps_points_through_our_matrix(tmp_path, load, extension):
    points = CENTRE + np.random.default_rng(0).uniform(-50, 50, (100, 3))
    node = load(write_transform(an_affine(), tmp_path / f"x{extension}"))
    assert node.IsA("vtkMRMLLinearTransformNode")
    assert np.abs(mapped_by_slicer(node, points) - an_affine().apply_to_points(points)).max() < 1e-9


@pytest.mark.parametrize("extension", [".h5", ".tfm"])
def test_slicer_maps_voxels_through_our_composite(tmp_path, load, any_geometry, extension):
    composite = a_field(any_geometry).compose(an_affine())
    node = load(write_transform(composite, tmp_path / f"x{extension}"))
    points = any_geometry.points().reshape(-1, 3)
    assert np.abs(mapped_by_slicer(node, points) - composite.apply_to_points(points)).max() < 1e-9


@pytest.mark.parametrize("extension", GRID_FORMATS)
def test_we_read_the_field_that_slicer_writes(tmp_path, load, save, any_geometry, extension):
    field = a_field(any_geometry)
    node = load(write_transform(field, tmp_path / "ours.h5"))
    again = read_transform(save(node, tmp_path / f"theirs{extension}"))
    assert np.abs(again.array - field.array).max() < 1e-6
    assert again.geometry.matches(any_geometry, 1e-4)


def test_we_read_the_composite_that_slicer_writes(tmp_path, load, save):
    composite = a_field(a_geometry("LAS")).compose(an_affine())
    node = load(write_transform(composite, tmp_path / "ours.h5"))
    again = read_transform(save(node, tmp_path / "theirs.h5"))
    assert kind_of(again) == "composite"
    points = a_geometry("LAS").points()
    assert np.abs(again.apply_to_points(points) - composite.apply_to_points(points)).max() < 1e-9


@pytest.mark.parametrize("extension", [".h5", ".tfm", ".nrrd"])
def test_a_field_that_slicer_stores_to_parent_is_refused(tmp_path, load, save, extension):
    node = load(write_transform(a_field(a_geometry("RAS")), tmp_path / "ours.h5"))
    node.Inverse()
    with pytest.raises(GeometryError, match=r"opposite direction"):
        read_transform(save(node, tmp_path / f"theirs{extension}"))


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".nhdr", ".mha"])
def test_slicer_places_our_volume_as_we_do(tmp_path, scene, any_geometry, extension):
    """Slicer turns left-handed grids into right-handed ones by reversing K; the voxels stay where they were."""
    image = a_blob_image(any_geometry)
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(write_image(image, tmp_path / f"x{extension}")))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert storage.ReadData(node)
    seen = in_scene(node)
    assert np.linalg.det(seen.geometry.direction) > 0
    voxels = np.rint(any_geometry.world_to_voxel(seen.geometry.points())).astype(int)
    assert np.abs(any_geometry.voxel_to_world(voxels) - seen.geometry.points()).max() < 1e-4
    assert (seen.array == image.array[tuple(np.moveaxis(voxels, -1, 0))]).all()


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".nhdr", ".mha"])
def test_we_place_the_volume_that_slicer_writes_as_slicer_does(tmp_path, scene, any_geometry, extension):
    from support.mrml_nodes import add_volume

    image = a_blob_image(any_geometry)
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(tmp_path / f"x{extension}"))
    assert storage.WriteData(add_volume(image))
    again = read_image(tmp_path / f"x{extension}")
    assert again.geometry.matches(any_geometry, 1e-4)
    assert (again.array == image.array).all()


def in_scene(node) -> Image:
    """Voxels and grid of a volume node, by Slicer's own calls."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    array = slicer.util.arrayFromVolume(node).transpose(2, 1, 0)
    return Image(array, Geometry(array.shape, slicer.util.arrayFromVTKMatrix(matrix)))
