"""Segmentations carried along: voxels as label maps of the same map, and everything that is known about segments."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.known_registration import a_rigid_matrix, known_forward
from support.mrml_nodes import add_linear_parent, add_volume
from support.segmentations import add_segmentation, segment_voxels
from support.volumes import CENTRE, GEOMETRIES, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.bridge.actions.apply import Application, apply_transform
from VoxelMorphLib.bridge.actions.apply_segmentations import segmentation_steps
from VoxelMorphLib.bridge.background.steps import finish
from VoxelMorphLib.bridge.scene.segment_layers import BINARY
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.transform import IDENTITY
from vtk.util.numpy_support import vtk_to_numpy

TERMINOLOGY = (
    "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes~^^~^^"
)


def ball(geometry, radius_mm, shift=(0, 0, 0)):
    distance = np.linalg.norm(geometry.points() - CENTRE - np.array(shift), axis=-1)
    return distance < radius_mm


@pytest.fixture
def overlapping(volumes):
    """Two structures that share a layer and one that overlaps both, with all that segments can tell."""
    geometry = a_geometry("LPS", (30, 28, 26), 1.0)
    left, right = ball(geometry, 5, (-6, 0, 0)), ball(geometry, 4, (6, 0, 0))
    layers = [
        LabelMap(left * np.uint8(3) + right * np.uint8(7), geometry),
        LabelMap(ball(geometry, 8).astype(np.uint8), geometry),
    ]
    segments = [("zone_b", "Right lobe", 0, 7), ("zone_a", "Left lobe", 0, 3), ("whole", "Liver", 1, 1)]
    node = add_segmentation("organs", layers, segments)
    liver = node.GetSegmentation().GetSegment("whole")
    liver.SetColor(0.25, 0.5, 0.75)
    liver.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), TERMINOLOGY)
    liver.SetTag("Reviewed", "yes")
    return node


def test_layers_take_no_more_than_what_they_hold(overlapping, volumes):
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    grid = add_volume(a_blob_image(a_geometry("oblique", (60, 58, 56), 1.0)), "large")
    result = apply_transform(overlapping, Application(shift, reference=grid)).GetSegmentation()
    for segment_id, most in (("zone_a", 26), ("whole", 20)):
        data = result.GetSegment(segment_id).GetRepresentation(BINARY)
        assert max(data.GetDimensions()) <= most
        array = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(data.GetDimensions()[::-1])
        for axis in range(3):
            assert array.take(0, axis).any() and array.take(-1, axis).any()


def test_what_leaves_the_grid_leaves_an_empty_segment(overlapping, volumes):
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = np.eye(4)
    matrix[0, 3] = 500
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    with pytest.warns(UserWarning, match="Nothing of organs lies on the grid of the result, which is empty"):
        result = apply_transform(overlapping, Application(shift, reference=volumes[0]))
    assert result.GetSegmentation().GetNumberOfSegments() == 3
    assert not segment_voxels(result, "whole").any()


def test_everything_known_about_segments_is_kept(overlapping, registered, volumes):
    overlapping.CreateDefaultDisplayNodes()
    overlapping.GetDisplayNode().SetSegmentVisibility("zone_a", False)
    overlapping.GetDisplayNode().SetSegmentOpacity3D("whole", 0.25)
    result = apply_transform(overlapping, Application(registered["forward"]))
    assert result.GetName() == "organs moved" and result.GetParentTransformNode() is None
    before, after = overlapping.GetSegmentation(), result.GetSegmentation()
    assert after.GetSegmentIDs() == ("zone_b", "zone_a", "whole")
    assert after.GetNumberOfLayers() == 2
    assert after.GetSegmentIDsForLayer(0) == before.GetSegmentIDsForLayer(0)
    for segment_id in after.GetSegmentIDs():
        old, new = before.GetSegment(segment_id), after.GetSegment(segment_id)
        assert (new.GetName(), new.GetColor(), new.GetLabelValue()) == (
            old.GetName(),
            old.GetColor(),
            old.GetLabelValue(),
        )
    liver = after.GetSegment("whole")
    for tag, value in ((slicer.vtkSegment.GetTerminologyEntryTagName(), TERMINOLOGY), ("Reviewed", "yes")):
        stored = vtk.reference("")
        assert liver.GetTag(tag, stored) and str(stored) == value
    display = result.GetDisplayNode()
    assert display is not overlapping.GetDisplayNode()
    assert not display.GetSegmentVisibility("zone_a") and display.GetSegmentVisibility("whole")
    assert display.GetSegmentOpacity3D("whole") == 0.25
    reference = result.GetNodeReference(result.GetReferenceImageGeometryReferenceRole())
    assert reference is volumes[0]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_segments_move_as_label_maps_do(scene, volumes, registered, name):
    geometry = a_geometry(name, (28, 24, 20), 1.0)
    labels = a_label_map(geometry)
    node = add_segmentation("structures", [labels], [("a", "A", 0, 2), ("b", "B", 0, 17), ("c", "C", 0, 53)])
    volume = add_volume(labels, "labels", "vtkMRMLLabelMapVolumeNode")
    expected = slicer.util.arrayFromVolume(apply_transform(volume, Application(registered["forward"])))
    result = apply_transform(node, Application(registered["forward"]))
    for segment_id, label in (("a", 2), ("b", 17), ("c", 53)):
        np.testing.assert_array_equal(segment_voxels(result, segment_id), (expected == label).transpose(2, 1, 0))
        assert (expected == label).any()


def test_overlapping_segments_still_overlap(overlapping, registered):
    result = apply_transform(overlapping, Application(registered["forward"]))
    whole, lobe = segment_voxels(result, "whole"), segment_voxels(result, "zone_b")
    assert (whole & lobe).any() and (whole & ~lobe).any() and (lobe & ~whole).any()


def test_the_same_place_gives_the_same_segments(scene, overlapping, registered):
    """Parents of the segmentation count as its place."""
    expected = segment_voxels(apply_transform(overlapping, Application(registered["forward"])), "whole")
    matrix = a_rigid_matrix(25, (5, -6, 7))
    for segment_id in overlapping.GetSegmentation().GetSegmentIDs():
        image = overlapping.GetSegmentation().GetSegment(segment_id).GetRepresentation("Binary labelmap")
        own = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(own)
        if segment_id != "zone_a":  # which shares its image with zone_b
            moved = np.linalg.inv(matrix) @ slicer.util.arrayFromVTKMatrix(own)
            image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(moved))
    add_linear_parent(overlapping, matrix)
    result = segment_voxels(apply_transform(overlapping, Application(registered["forward"])), "whole")
    assert (result == expected).mean() > 0.999


def test_a_segmentation_under_the_transform_is_moved_once(overlapping, registered):
    expected = segment_voxels(apply_transform(overlapping, Application(registered["forward"])), "whole")
    overlapping.SetAndObserveTransformNodeID(registered["forward"].GetID())
    result = apply_transform(overlapping, Application(registered["forward"]))
    np.testing.assert_array_equal(segment_voxels(result, "whole"), expected)


def test_only_the_filled_part_of_a_grid_is_stored_and_found(scene, volumes, registered):
    """Slicer crops layers to what they hold, so their extent does not begin at zero."""
    geometry = a_geometry("RAS", (30, 28, 26), 1.0)
    labels = LabelMap(ball(geometry, 4).astype(np.uint8), geometry)
    whole = add_segmentation("whole grid", [labels], [("s", "S", 0, 1)])
    cropped = add_segmentation("cropped", [labels], [("s", "S", 0, 1)])
    image = cropped.GetSegmentation().GetSegment("s").GetRepresentation("Binary labelmap")
    image.Crop([9, 20, 8, 19, 7, 18])
    assert image.GetExtent() == (9, 20, 8, 19, 7, 18)
    first, second = (
        segment_voxels(apply_transform(node, Application(registered["forward"])), "s") for node in (whole, cropped)
    )
    assert first.any()
    np.testing.assert_array_equal(first, second)


def test_segments_that_come_and_go_meanwhile_are_left_out(overlapping, volumes):
    steps = segmentation_steps(overlapping, IDENTITY, np.eye(4), volume_geometry(volumes[0]))
    next(steps)
    segmentation = overlapping.GetSegmentation()
    segmentation.RemoveSegment("zone_b")
    late = slicer.vtkSegment()
    late.SetName("late")
    late.AddRepresentation(BINARY, segmentation.GetSegment("whole").GetRepresentation(BINARY))
    segmentation.AddSegment(late, "late")
    moved = finish(steps)().GetSegmentation()
    assert "whole" in moved.GetSegmentIDs() and "late" not in moved.GetSegmentIDs()


def test_empty_segments_stay(scene, volumes, registered):
    geometry = a_geometry("RAS", (12, 12, 12))
    node = add_segmentation(
        "one and nothing", [LabelMap(ball(geometry, 5).astype(np.uint8), geometry)], [("a", "A", 0, 1)]
    )
    node.GetSegmentation().AddEmptySegment("nothing", "Nothing", (0.1, 0.2, 0.3))
    result = apply_transform(node, Application(registered["forward"]))
    assert result.GetSegmentation().GetSegmentIDs() == ("a", "nothing")
    assert result.GetSegmentation().GetSegment("nothing").GetColor() == (0.1, 0.2, 0.3)
    assert segment_voxels(result, "a").any() and not segment_voxels(result, "nothing").any()


@pytest.fixture
def surface(scene):
    """A ball of 6 mm that is kept as a surface."""
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(CENTRE)
    sphere.SetRadius(6)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surface")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", (1, 0, 0), "ball")
    return node


def test_surfaces_are_moved_as_label_maps(surface, volumes, registered, conversions):
    result = apply_transform(surface, Application(registered["forward"]))
    assert not surface.GetSegmentation().ContainsRepresentation("Binary labelmap")
    points = known_forward().apply_to_points(volume_geometry(volumes[0]).points())
    exact = np.linalg.norm(points - CENTRE, axis=-1) < 6
    moved = segment_voxels(result, "ball")
    assert 2 * (moved & exact).sum() / (moved.sum() + exact.sum()) > 0.9


@pytest.fixture
def conversions():
    """The rule by which the application turns surfaces into label maps."""
    factory = slicer.vtkSegmentationConverterFactory.GetInstance()
    rule = slicer.vtkClosedSurfaceToBinaryLabelmapConversionRule()
    factory.RegisterConverterRule(rule)
    yield
    factory.UnregisterConverterRule(rule)


def test_segments_without_a_way_to_label_maps_are_refused(surface, registered, application):
    with pytest.raises(ImageError, match="Closed surface segments of surface cannot be turned into label maps"):
        apply_transform(surface, Application(registered["forward"]))
    assert application.errors, "VTK should have reported the missing rule"
    application.errors.clear()


def test_unfit_segmentations_and_targets_are_refused(scene, overlapping, volumes, registered):
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    with pytest.raises(ImageError, match="empty has no segments"):
        apply_transform(empty, Application(registered["forward"]))
    with pytest.raises(OutputError, match="moving is a vtkMRMLScalarVolumeNode and cannot hold segments"):
        apply_transform(overlapping, Application(registered["forward"]), volumes[1])
    overlapping.SetAndObserveTransformNodeID(transform_to_node(known_forward(), name="bent").GetID())
    with pytest.raises(GeometryError, match="organs is under the non-linear transform bent"):
        apply_transform(overlapping, Application(registered["forward"]))


def test_a_failing_step_leaves_the_target_unchanged(scene, overlapping, registered, monkeypatch):
    from VoxelMorphLib.bridge.actions import apply_segmentations

    def fail(*_args):
        raise MemoryError("injected")

    monkeypatch.setattr(apply_segmentations, "copy_display", fail)
    geometry = a_geometry()
    target = add_segmentation(
        "target", [LabelMap(ball(geometry, 5).astype(np.uint8), geometry)], [("mine", "Mine", 0, 1)]
    )
    parent = add_linear_parent(target, a_rigid_matrix(3, 1))
    kept, nodes = segment_voxels(target, "mine"), scene.GetNumberOfNodes()
    with pytest.raises(MemoryError, match="injected"):
        apply_transform(overlapping, Application(registered["forward"]), target)
    assert target.GetSegmentation().GetSegmentIDs() == ("mine",)
    assert target.GetParentTransformNode() is parent and scene.GetNumberOfNodes() == nodes
    np.testing.assert_array_equal(segment_voxels(target, "mine"), kept)


def test_a_second_run_replaces_the_segments_of_its_target(scene, overlapping, volumes, registered):
    target = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "target")
    for _run in range(2):
        assert apply_transform(overlapping, Application(registered["forward"]), target) is target
    assert target.GetSegmentation().GetSegmentIDs() == ("zone_b", "zone_a", "whole")
    other = add_volume(a_blob_image(a_geometry("RAS", (10, 9, 8))), "other")
    apply_transform(overlapping, Application(registered["forward"], False, other), target)
    assert segment_voxels(target, "whole").shape == (10, 9, 8)


def test_borders_of_segments_are_interpolated_where_that_is_chosen(scene):
    coarse, fine = a_geometry("LPS", (12, 12, 12), 3.0), a_geometry("RAS", (36, 36, 36), 1.0)
    labels = LabelMap(ball(coarse, 9).astype(np.uint8), coarse)
    node = add_segmentation("ball", [labels], [("ball", "Ball", 0, 1)])
    grid = add_volume(a_blob_image(fine), "grid")
    still = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "still")
    errors = {}
    for rule in ("linear", "multilabel"):
        result = apply_transform(node, Application(still, reference=grid, interpolation=rule))
        found = segment_voxels(result, "ball")
        errors[rule] = (found != ball(fine, 9)).mean()
    assert 0 < errors["multilabel"] < 0.8 * errors["linear"]
