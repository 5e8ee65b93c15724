"""Volume nodes of the real scene: geometry, voxels and refusals in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import transformed

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.mrml_nodes import add_linear_parent, add_volume
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map, rotation
from VoxelMorphLib.bridge.scene.volume_nodes import (
    image_from_node,
    image_to_node,
    image_to_vtk,
    label_map_from_node,
    show_like,
)
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.image import Image, LabelMap


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_node_gives_its_voxels_and_grid(scene, name):
    image = a_blob_image(a_geometry(name))
    node = slicer.util.addVolumeFromArray(image.array.transpose(2, 1, 0), image.geometry.affine, "brain")
    read = image_from_node(node, "fixed")
    assert read.name == "brain" and type(read) is Image
    np.testing.assert_array_equal(read.array, image.array)
    assert read.geometry.matches(image.geometry, tolerance_vox=1e-9)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_an_image_goes_into_a_node_and_back(scene, name):
    image = a_blob_image(a_geometry(name))
    node = image_to_node(image)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), image.array.transpose(2, 1, 0))
    read = image_from_node(node)
    np.testing.assert_array_equal(read.array, image.array)
    assert read.geometry.matches(image.geometry, tolerance_vox=1e-9)


def test_slicer_reads_the_world_position_that_we_wrote(scene):
    image = a_blob_image(a_geometry("left-handed oblique"))
    node = image_to_node(image)
    world = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(world)
    assert np.allclose(world.MultiplyPoint((3, 5, 7, 1))[:3], image.geometry.voxel_to_world((3, 5, 7)))


def test_arrays_are_copies(scene):
    node = add_volume(a_blob_image(a_geometry()))
    image = image_from_node(node)
    before = image.array.copy()
    slicer.util.arrayFromVolume(node)[:] = 7
    np.testing.assert_array_equal(image.array, before)
    written = image_to_node(image)
    slicer.util.arrayFromVolume(written)[:] = 9
    np.testing.assert_array_equal(image.array, before)


def test_nan_around_the_object_becomes_its_lowest_value_with_a_note(scene):
    image = a_blob_image(a_geometry())
    array = image.array.astype(np.float32) + 5
    around = np.ones(array.shape, bool)
    around[2:-2, 2:-2, 2:-2] = False
    array[around] = np.nan
    node = add_volume(Image(array, image.geometry), "spm")
    read = image_from_node(node, "fixed")
    np.testing.assert_array_equal(read.array[~around], array[~around])
    assert (read.array[around] == array[~around].min()).all()
    assert len(read.notes) == 1 and read.notes[0].startswith("The NaN voxels of spm (")
    with pytest.raises(ImageError, match="is not a label map"):
        label_map_from_node(node)


def test_single_nan_voxels_are_refused(scene):
    image = a_blob_image(a_geometry())
    array = image.array.astype(np.float32)
    array[5, 5, 5] = np.nan
    with pytest.raises(ImageError, match="holds 1 NaN or infinite voxels"):
        image_from_node(add_volume(Image(array, image.geometry), "holed"), "fixed")


def test_linear_parents_are_part_of_the_geometry(scene):
    geometry = a_geometry("oblique")
    node = add_volume(a_blob_image(geometry))
    inner = np.eye(4)
    inner[:3, :3], inner[:3, 3] = rotation((1, 0, 1), 30), (5, -3, 8)
    outer = np.diag([1.1, 1.1, 1.1, 1.0])
    parent = add_linear_parent(node, inner)
    add_linear_parent(parent, outer)
    assert image_from_node(node).geometry.matches(transformed(geometry, outer @ inner), tolerance_vox=1e-9)


def test_a_non_linear_parent_is_refused(scene):
    node = add_volume(a_blob_image(a_geometry()), "brain")
    parent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    parent.SetAndObserveTransformFromParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(parent.GetID())
    with pytest.raises(GeometryError, match=r"brain is under the non-linear transform warp\. Harden"):
        image_from_node(node)


def test_a_parent_that_shears_is_refused(scene):
    node = add_volume(a_blob_image(a_geometry()), "brain")
    shear = np.eye(4)
    shear[0, 1] = 0.3
    add_linear_parent(node, shear)
    with pytest.raises(GeometryError, match="brain cannot be used: The voxel axes are sheared"):
        image_from_node(node)


def test_the_extent_of_cropped_image_data_is_honoured(scene):
    image = a_blob_image(a_geometry("oblique"))
    clip = vtk.vtkImageClip()
    clip.SetInputData(image_to_vtk(image))
    clip.SetOutputWholeExtent(3, 12, 2, 9, 1, 8)
    clip.ClipDataOn()
    clip.Update()
    node = add_volume(image)
    node.SetAndObserveImageData(clip.GetOutput())
    read = image_from_node(node)
    np.testing.assert_array_equal(read.array, image.array[3:13, 2:10, 1:9])
    assert read.geometry.matches(image.geometry.shifted((3, 2, 1), (10, 8, 8)), tolerance_vox=1e-9)


def test_label_maps_stay_label_maps(scene):
    labels = a_label_map(a_geometry("LAS"))
    node = image_to_node(labels)
    assert node.GetClassName() == "vtkMRMLLabelMapVolumeNode"
    for read in (image_from_node(node), label_map_from_node(node), label_map_from_node(add_volume(labels))):
        assert isinstance(read, LabelMap) and read.array.dtype == labels.array.dtype
        np.testing.assert_array_equal(read.array, labels.array)


def test_a_label_map_may_be_whole_floats_but_not_fractions(scene):
    labels = a_label_map(a_geometry())
    floats = add_volume(Image(labels.array.astype(np.float32), labels.geometry))
    np.testing.assert_array_equal(label_map_from_node(floats).array, labels.array)
    with pytest.raises(ImageError, match="not a label map"):
        label_map_from_node(add_volume(a_blob_image(a_geometry())))


STORED_AS = {
    "bool": "uint8",
    "float16": "float32",
    ">i2": "int16",
    ">f4": "float32",
    "int64": "int32",
    "uint64": "int32",
    "longdouble": "float64",
    "uint16": "uint16",
    "int8": "int8",
}


@pytest.mark.parametrize(("dtype", "stored"), STORED_AS.items())
def test_voxel_types_that_vtk_lacks_are_cast(scene, dtype, stored):
    image = a_blob_image(a_geometry())
    image = image.with_array((image.array > 50) if dtype == "bool" else image.array.astype(dtype))
    voxels = slicer.util.arrayFromVolume(image_to_node(image))
    assert voxels.dtype == stored
    np.testing.assert_array_equal(voxels, image.array.transpose(2, 1, 0).astype(stored))


def test_intensities_beyond_32_bits_become_floats_and_labels_are_refused(scene):
    image = a_label_map(a_geometry())
    large = image.array.astype(np.int64) * 2**40
    node = image_to_node(Image(large, image.geometry))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), large.transpose(2, 1, 0).astype(float))
    with pytest.raises(ImageError, match=r"label numbers from 0 to \d+, but Slicer stores 32 bits"):
        image_to_node(LabelMap(large, image.geometry))


def add_vectors(scene, array, vector_type=0):
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours")
    slicer.util.updateVolumeFromArray(node, array)
    node.SetVoxelVectorType(vector_type)
    return node


def test_colours_are_averaged(scene):
    rgb = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 3)).astype(np.uint8)
    rgba = np.concatenate([rgb, np.full((5, 6, 7, 1), 255, np.uint8)], axis=-1)
    declared = slicer.vtkMRMLVolumeNode.VoxelVectorTypeColorRGB
    for node in (
        add_vectors(scene, rgb),
        add_vectors(scene, rgba),
        add_vectors(scene, rgb.astype(np.uint16), declared),
    ):
        read = image_from_node(node, "moving")
        assert read.array.shape == (7, 6, 5)
        np.testing.assert_allclose(read.array, rgb.mean(axis=-1).transpose(2, 1, 0), rtol=1e-6)


def test_other_vectors_are_refused(scene):
    vectors = np.random.default_rng(0).normal(size=(5, 6, 7, 3))
    spatial = slicer.vtkMRMLVolumeNode.VoxelVectorTypeSpatial
    for node in (
        add_vectors(scene, vectors),
        add_vectors(scene, vectors.astype(np.uint8), spatial),
        add_vectors(scene, vectors[..., :2].astype(np.uint8)),
    ):
        with pytest.raises(ImageError, match=r"colours has \d components per voxel\. Choose a scalar volume"):
            image_from_node(node)


def test_nodes_without_voxels_are_refused(scene):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "brain")
    with pytest.raises(ImageError, match="brain holds no voxels"):
        image_from_node(empty)
    empty.SetAndObserveImageData(vtk.vtkImageData())
    with pytest.raises(ImageError, match="brain holds no voxels"):
        image_from_node(empty)


def test_other_nodes_are_refused(scene):
    with pytest.raises(ImageError, match="needed, got none"):
        image_from_node(None)
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "skull")
    with pytest.raises(ImageError, match="needed, got skull, a vtkMRMLModelNode"):
        image_from_node(model)


BAD_VOLUMES = {
    "one column": (lambda a: a[:, :1, :1], "brain has shape .*only one axis has several voxels"),
    "constant": (np.zeros_like, "brain is empty or constant"),
    "NaN": (lambda a: np.where(a > 50, np.nan, a), r"brain holds \d+ NaN or infinite voxels"),
}


@pytest.mark.parametrize("name", BAD_VOLUMES)
def test_volumes_that_cannot_be_registered_are_refused_for_a_role(scene, name):
    change, message = BAD_VOLUMES[name]
    array = change(a_blob_image(a_geometry()).array)
    node = add_volume(Image(array, a_geometry(shape=array.shape)), "brain")
    image_from_node(node)
    with pytest.raises(ImageError, match=f"The moving volume {message}"):
        image_from_node(node, "moving")


def test_a_sheared_node_is_refused(scene):
    node = add_volume(a_blob_image(a_geometry()), "brain")
    sheared = a_geometry().affine.copy()
    sheared[0, 1] = 0.5
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(sheared))
    with pytest.raises(GeometryError, match=r"brain cannot be used: .*sheared.*Resample"):
        image_from_node(node, "fixed")


def test_an_existing_node_is_replaced_and_leaves_its_parent(scene):
    node = add_volume(a_blob_image(a_geometry("LAS", (4, 5, 6))), "output")
    add_linear_parent(node, np.diag([2.0, 2, 2, 1]))
    image = a_blob_image(a_geometry("oblique"), seed=1)
    assert image_to_node(image, node) is node
    assert node.GetName() == "output" and node.GetParentTransformNode() is None
    read = image_from_node(node)
    np.testing.assert_array_equal(read.array, image.array)
    assert read.geometry.matches(image.geometry, tolerance_vox=1e-9)


def test_nodes_of_another_class_are_refused(scene):
    label_node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "segments")
    image = a_blob_image(a_geometry())
    with pytest.raises(OutputError, match="segments is a vtkMRMLLabelMapVolumeNode and cannot hold blobs"):
        image_to_node(image, label_node)
    with pytest.raises(OutputError, match="Choose a vtkMRMLLabelMapVolumeNode"):
        image_to_node(a_label_map(a_geometry()), scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours"))


def test_created_nodes_have_their_own_names(scene):
    image = a_blob_image(a_geometry())
    assert [image_to_node(image, name="a moved").GetName() for _ in range(2)] == ["a moved", "a moved_1"]


def test_display_is_copied_once(scene):
    example, node = add_volume(a_blob_image(a_geometry())), image_to_node(a_blob_image(a_geometry(), seed=1))
    example.CreateDefaultDisplayNodes()
    display = example.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(37, 11)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGreen")
    show_like(node, example)
    copied = node.GetDisplayNode()
    assert (copied.GetWindow(), copied.GetLevel(), copied.GetAutoWindowLevel()) == (37, 11, 0)
    assert copied.GetColorNodeID() == display.GetColorNodeID()
    copied.SetWindowLevel(5, 6)
    show_like(node, example)
    assert copied.GetWindow() == 5


def test_display_of_a_volume_without_display_or_of_colours_is_default(scene):
    node = image_to_node(a_blob_image(a_geometry()))
    show_like(node, add_volume(a_blob_image(a_geometry())))
    assert node.GetDisplayNode() is not None
    other = image_to_node(a_blob_image(a_geometry()))
    colours = add_vectors(scene, np.zeros((3, 4, 5, 3), np.uint8))
    colours.CreateDefaultDisplayNodes()
    show_like(other, colours)
    assert other.GetDisplayNode().GetAutoWindowLevel()
