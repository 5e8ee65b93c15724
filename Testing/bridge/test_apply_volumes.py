"""Volumes moved by transforms: as Slicer itself would resample them, forward and back."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.known_registration import a_rigid_matrix, known_forward, known_registration
from support.mrml_nodes import add_linear_parent, add_volume, reslice
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.bridge.actions.apply import Application, apply_transform
from VoxelMorphLib.bridge.scene.result_nodes import write_registration
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, volume_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.image import Image

INSIDE = (slice(2, -2),) * 3


def voxels(node):
    return slicer.util.arrayFromVolume(node).transpose(2, 1, 0)


def test_the_moving_volume_becomes_the_moved_one(volumes, registered):
    _fixed, moving = volumes
    count = slicer.mrmlScene.GetNumberOfNodes()
    result = apply_transform(moving, Application(registered["forward"]))
    assert result.GetName() == "moving moved_1" and result.GetParentTransformNode() is None
    assert slicer.mrmlScene.GetNumberOfNodes() == count + 2  # the volume and its display
    assert volume_geometry(result).matches(volume_geometry(registered["moved"]))
    assert np.abs(voxels(result) - voxels(registered["moved"]))[INSIDE].max() < 1.0


@pytest.mark.parametrize("parents", ["none", "moving", "fixed", "transform"])
@pytest.mark.parametrize("inverse", [False, True])
def test_scalar_volumes_agree_with_slicers_reslice_through_the_node(scene, volumes, parents, inverse):
    fixed, moving = volumes
    node = transform_to_node(known_forward(), name="forward")
    under = {"moving": moving, "fixed": fixed, "transform": node}
    if parents != "none":
        add_linear_parent(under[parents], a_rigid_matrix(20, (3, -2, 1)))
    source, reference = (fixed, moving) if inverse else (moving, fixed)
    with_warning = pytest.warns(UserWarning, match="searched numerically") if inverse else nullcontext()
    with with_warning:
        result = apply_transform(source, Application(node, inverse, reference))
    # Slicer's reslice goes through all parents of a volume, so the transform is put above those it has.
    effective = node
    if inverse:
        effective = scene.AddNewNodeByClass("vtkMRMLTransformNode", "inverted")
        effective.SetAndObserveTransformToParent(_from_world(node))
    top = source.GetParentTransformNode() or source
    top.SetAndObserveTransformNodeID(effective.GetID())
    difference = np.abs(voxels(result) - reslice(source, reference))[INSIDE]
    assert difference.max() < 0.05
    assert np.ptp(voxels(result)) > 50


def _from_world(node):
    transform = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(transform)
    return transform


@pytest.mark.parametrize("name", ["RAS", "left-handed oblique"])
def test_label_maps_keep_their_numbers_class_and_colours(scene, volumes, registered, name):
    labels = add_volume(a_label_map(a_geometry(name, (26, 24, 22), 1.2)), "labels", "vtkMRMLLabelMapVolumeNode")
    labels.CreateDefaultDisplayNodes()
    labels.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRandom")
    result = apply_transform(labels, Application(registered["forward"]))
    assert result.GetClassName() == "vtkMRMLLabelMapVolumeNode"
    assert result.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeRandom"
    assert set(np.unique(voxels(result))) == {0, 2, 17, 53}
    labels.SetAndObserveTransformNodeID(registered["forward"].GetID())
    assert (voxels(result) == reslice(labels, volumes[0], "nearest")).mean() > 0.999


def test_a_colour_volume_keeps_its_colours(scene, volumes, registered):
    geometry = a_geometry("LAS", (22, 20, 18))
    channels = [a_blob_image(geometry, seed).array.clip(0, 255).astype(np.uint8) for seed in (1, 2, 3)]
    node = add_volume(Image(channels[0], geometry), "photo", "vtkMRMLVectorVolumeNode")
    slicer.util.updateVolumeFromArray(node, np.stack([channel.transpose(2, 1, 0) for channel in channels], axis=-1))
    node.SetVoxelVectorType(node.VoxelVectorTypeColorRGB)
    result = apply_transform(node, Application(registered["forward"]))
    assert result.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert result.GetVoxelVectorType() == node.VoxelVectorTypeColorRGB
    colours = slicer.util.arrayFromVolume(result)
    assert colours.dtype == np.uint8 and colours.shape == (12, 14, 16, 3)
    for component, channel in enumerate(channels):
        alone = apply_transform(add_volume(Image(channel, geometry), "channel"), Application(registered["forward"]))
        np.testing.assert_array_equal(colours[..., component], slicer.util.arrayFromVolume(alone))


def test_vectors_are_moved_and_it_is_said_that_they_are_not_turned(scene, volumes, registered):
    image = a_blob_image(a_geometry("LAS", (22, 20, 18)))
    node = add_volume(image, "field", "vtkMRMLVectorVolumeNode")
    values = np.stack([image.array.transpose(2, 1, 0), -image.array.transpose(2, 1, 0)], axis=-1)
    slicer.util.updateVolumeFromArray(node, values)
    with pytest.warns(UserWarning, match="components of field are carried along as they are"):
        result = apply_transform(node, Application(registered["forward"]))
    moved = slicer.util.arrayFromVolume(result)
    alone = slicer.util.arrayFromVolume(apply_transform(add_volume(image, "alone"), Application(registered["forward"])))
    assert moved.shape == (12, 14, 16, 2) and np.abs(moved[..., 0] - alone).max() < 1e-3
    assert np.abs(moved[..., 0] + moved[..., 1]).max() < 1e-6


def test_label_maps_are_smoother_where_that_is_chosen(scene, volumes, registered):
    labels = add_volume(a_label_map(a_geometry("LAS", (12, 12, 10), 3.0)), "labels", "vtkMRMLLabelMapVolumeNode")
    image = add_volume(a_blob_image(a_geometry("LAS", (22, 20, 18))), "image")
    rules = {rule: Application(registered["forward"], interpolation=rule) for rule in ("linear", "multilabel")}
    for node, differs in ((labels, True), (image, False)):
        linear, voted = (voxels(apply_transform(node, rules[rule])) for rule in ("linear", "multilabel"))
        assert (linear != voted).any() == differs
        assert not differs or set(np.unique(voted)) <= {0, 2, 17, 53}


def test_a_volume_under_the_transform_already_is_moved_once(volumes, registered):
    _fixed, moving = volumes
    before = voxels(apply_transform(moving, Application(registered["forward"])))
    moving.SetAndObserveTransformNodeID(registered["forward"].GetID())
    np.testing.assert_array_equal(voxels(apply_transform(moving, Application(registered["forward"]))), before)


def test_there_and_back_gives_the_volume_again(scene, registered, volumes):
    _fixed, moving = volumes
    moved = apply_transform(moving, Application(registered["forward"], interpolation="cubic"))
    back = apply_transform(moved, Application(registered["forward"], inverse=True, interpolation="cubic"))
    assert volume_geometry(back).matches(volume_geometry(moving))
    difference = np.abs(voxels(back) - voxels(moving))[6:-6, 6:-6, 6:-6]
    assert difference.mean() < 1  # of intensities up to 200


def test_the_inverse_goes_onto_the_grid_of_a_moving_volume_that_lies_under_the_transform(volumes, registered):
    fixed, moving = volumes
    for transform, inverse in ((registered["forward"], True), (registered["inverse"], False)):
        expected = voxels(apply_transform(fixed, Application(transform, inverse)))
        moving.SetAndObserveTransformNodeID(registered["forward"].GetID())
        result = apply_transform(fixed, Application(transform, inverse))
        moving.SetAndObserveTransformNodeID(None)
        assert volume_geometry(result).matches(volume_geometry(moving))
        np.testing.assert_array_equal(voxels(result), expected)


def test_parents_of_the_moving_volume_at_its_registration_are_remembered(scene, volumes):
    """A volume without parents, lying where the moving volume was seen, is moved just like it."""

    fixed, moving = volumes
    add_linear_parent(moving, a_rigid_matrix(15, (4, 0, -3)))
    nodes = write_registration(known_registration(fixed, moving), fixed, moving)
    twin = add_volume(image_from_node(moving), "twin")
    for node in (moving, twin):
        result = apply_transform(node, Application(nodes["forward"]))
        assert np.abs(voxels(result) - voxels(nodes["moved"]))[INSIDE].max() < 1.0
    back = apply_transform(fixed, Application(nodes["inverse"]))
    assert volume_geometry(back).matches(volume_geometry(moving))


def test_an_existing_target_is_filled(volumes, registered):
    target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "target")
    add_linear_parent(target, a_rigid_matrix(5, 0))
    assert apply_transform(volumes[1], Application(registered["forward"]), target) is target
    assert target.GetParentTransformNode() is None and target.GetName() == "target"


def test_interpolation_and_reference_are_those_asked_for(volumes, registered):
    reference = add_volume(a_blob_image(a_geometry("LPS", (9, 8, 7))), "reference")
    node = add_volume(a_label_map(a_geometry("LAS", (22, 20, 18))), "numbers")
    nearest = apply_transform(node, Application(registered["forward"], False, reference, "nearest"))
    assert volume_geometry(nearest).matches(volume_geometry(reference))
    assert set(np.unique(voxels(nearest))) <= {0, 2, 17, 53}
    linear = apply_transform(node, Application(registered["forward"], False, reference))
    assert set(np.unique(voxels(linear))) > {0, 2, 17, 53}


def assert_refused_and_unchanged(error, message, *args):
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(error, match=message):
        apply_transform(*args)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_unfit_nodes_are_refused(scene, volumes, registered):
    fixed, moving = volumes
    forward = Application(registered["forward"])
    gone = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "gone")
    scene.RemoveNode(gone)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "table")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert_refused_and_unchanged(OutputError, "There is nothing to move", None, forward)
    assert_refused_and_unchanged(OutputError, "There is no transform to apply", moving, Application(None))
    assert_refused_and_unchanged(OutputError, "gone is no longer in the scene", gone, forward)
    assert_refused_and_unchanged(OutputError, "gone is no longer in the scene", moving, forward, gone)
    assert_refused_and_unchanged(
        OutputError, "gone is no longer in the scene", moving, Application(registered["forward"], False, gone)
    )
    assert_refused_and_unchanged(OutputError, "table is a vtkMRMLTableNode", table, forward)
    assert_refused_and_unchanged(OutputError, "moving is an input", moving, forward, moving)
    assert_refused_and_unchanged(
        OutputError, "fixed is an input", moving, Application(registered["forward"], False, fixed), fixed
    )
    assert_refused_and_unchanged(OutputError, "fixed is an input", moving, forward, fixed)
    assert_refused_and_unchanged(ImageError, "empty holds no voxels", empty, forward)
    assert_refused_and_unchanged(OutputError, "table is a vtkMRMLTableNode and cannot hold", moving, forward, table)
    foreign = transform_to_node(known_forward(), name="foreign")
    assert_refused_and_unchanged(GeometryError, "foreign names no volume", moving, Application(foreign))


def test_a_volume_under_a_non_linear_parent_is_refused(scene, volumes, registered):
    _fixed, moving = volumes
    other = transform_to_node(known_forward(), name="bent")
    moving.SetAndObserveTransformNodeID(other.GetID())
    message = "moving is under the non-linear transform bent. Harden"
    assert_refused_and_unchanged(GeometryError, message, moving, Application(registered["forward"]))


def test_a_failing_step_leaves_target_and_scene_unchanged(scene, volumes, registered, monkeypatch):
    from VoxelMorphLib.bridge.actions import apply_volumes

    def fail(*_args):
        raise MemoryError("injected")

    monkeypatch.setattr(apply_volumes, "show_like", fail)
    target = add_volume(a_blob_image(a_geometry("RAS", (3, 4, 5))), "target")
    kept = voxels(target).copy()
    assert_refused_and_unchanged(MemoryError, "injected", volumes[1], Application(registered["forward"]))
    assert_refused_and_unchanged(MemoryError, "injected", volumes[1], Application(registered["forward"]), target)
    np.testing.assert_array_equal(voxels(target), kept)


def test_a_label_map_that_lies_elsewhere_is_told(scene, volumes, registered):
    far = a_label_map(a_geometry("LPS", (26, 24, 22), 1.2))
    affine = far.geometry.affine.copy()
    affine[:3, 3] += 500
    node = add_volume(
        type(far)(far.array, type(far.geometry)(far.array.shape, affine)), "far", "vtkMRMLLabelMapVolumeNode"
    )
    with pytest.warns(UserWarning, match="Nothing of far lies on the grid of the result"):
        assert not voxels(apply_transform(node, Application(registered["forward"]))).any()
