"""Whole folders carried along: the same structure again, everything in it moved, or nothing at all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.known_registration import known_forward
from support.mrml_nodes import add_volume
from support.segmentations import add_segmentation
from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.bridge.actions.apply import Application, apply_transform
from VoxelMorphLib.bridge.actions.apply_folders import apply_to_folder
from VoxelMorphLib.bridge.scene.result_nodes import write_registration
from VoxelMorphLib.bridge.scene.rollback import children
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.core.errors import Cancelled, GeometryError, ImageError, OutputError


@pytest.fixture
def hierarchy(scene):
    """The subject hierarchy of the scene; items go with the test, as with their nodes in the application."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    yield hierarchy
    hierarchy.RemoveAllItems(False)


@pytest.fixture
def patient(hierarchy, scene, registered):
    """patient > study > (scan, organs; drawings > (landmarks, notes)) in the moving space."""
    top = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(top, "study")
    labels = a_label_map(a_geometry("LAS", (22, 20, 18)))
    scan = add_volume(a_blob_image(a_geometry("LAS", (22, 20, 18)), seed=1), "scan")
    organs = add_segmentation("organs", [labels], [("a", "A", 0, 2), ("b", "B", 0, 17)])
    landmarks = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks")
    landmarks.AddControlPoint(CENTRE, "tip")
    notes = scene.AddNewNodeByClass("vtkMRMLTextNode", "notes")
    for node in (scan, organs):
        hierarchy.CreateItem(study, node)
    drawings = hierarchy.CreateFolderItem(study, "drawings")
    for node in (landmarks, notes):
        hierarchy.CreateItem(drawings, node)
    return top


def outline(hierarchy, item, depth=0):
    """The names below an item, indented."""
    lines = [" " * depth + hierarchy.GetItemName(item)]
    for child in children(hierarchy, item):
        lines += outline(hierarchy, child, depth + 1)
    return lines


def test_the_structure_is_mirrored_beside_the_folder(hierarchy, patient, registered):
    before = outline(hierarchy, patient)
    with pytest.warns(UserWarning, match=r"Left out, because transforms do not move them: notes\."):
        results = apply_to_folder(patient, Application(registered["forward"]))
    assert [node.GetName() for node in results] == ["scan moved", "organs moved", "landmarks moved"]
    assert outline(hierarchy, patient) == before
    top = hierarchy.GetItemParent(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(results[0])))
    assert hierarchy.GetItemParent(top) == hierarchy.GetSceneItemID()
    assert outline(hierarchy, top) == [
        "patient moved",
        " study",
        "  scan moved",
        "  organs moved",
        "  drawings",
        "   landmarks moved",
    ]


def test_the_contents_are_those_of_single_applications(hierarchy, patient, registered, scene):
    application = Application(registered["forward"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scan, _organs, landmarks = apply_to_folder(patient, application)
    alone = apply_transform(scene.GetFirstNodeByName("scan"), application)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(scan), slicer.util.arrayFromVolume(alone))
    alone = apply_transform(scene.GetFirstNodeByName("landmarks"), application)
    np.testing.assert_allclose(landmarks.GetNthControlPointPosition(0), alone.GetNthControlPointPosition(0))


def test_the_inverse_direction_works_for_folders(hierarchy, patient, registered):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = apply_to_folder(patient, Application(registered["forward"]))
        top = hierarchy.GetItemParent(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(moved[0])))
        back = apply_to_folder(top, Application(registered["forward"], inverse=True))
    assert np.abs(np.array(back[2].GetNthControlPointPosition(0)) - CENTRE).max() < 0.1


def test_nodes_below_nodes_are_moved_too(hierarchy, scene, registered):
    parent = add_volume(a_blob_image(a_geometry("LAS", (22, 20, 18))), "parent volume")
    child = add_volume(a_blob_image(a_geometry("LAS", (22, 20, 18))), "child volume")
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), parent)
    hierarchy.CreateItem(item, child)
    results = apply_to_folder(item, Application(registered["forward"]))
    assert [node.GetName() for node in results] == ["parent volume moved", "child volume moved"]
    assert outline(hierarchy, hierarchy.GetItemByDataNode(results[0])) == ["parent volume moved", " child volume moved"]


def test_results_lie_beside_their_inputs(hierarchy, patient, registered, scene, volumes):
    result = apply_transform(scene.GetFirstNodeByName("landmarks"), Application(registered["forward"]))
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result))
    assert hierarchy.GetItemName(folder) == "drawings"


def test_a_registration_lies_beside_its_fixed_volume(hierarchy, volumes):
    from support.known_registration import known_registration

    fixed, moving = volumes
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "visit 1")
    hierarchy.CreateItem(folder, fixed)
    kept = transform_to_node(known_forward(), name="chosen")
    nodes = write_registration(
        known_registration(fixed, moving), fixed, moving, {"moved": None, "forward": kept, "inverse": None}
    )
    places = {output: hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for output, node in nodes.items()}
    assert places["moved"] == places["inverse"] == folder
    assert not hierarchy.GetItemByDataNode(kept), "a chosen node stays where it is"


def state(hierarchy, scene):
    return outline(hierarchy, hierarchy.GetSceneItemID()), scene.GetNumberOfNodes()


def test_one_failing_node_leaves_scene_and_hierarchy_unchanged(hierarchy, patient, registered, scene):
    landmarks = scene.GetFirstNodeByName("landmarks")
    broken = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "broken")
    hierarchy.CreateItem(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(landmarks)), broken)
    before = state(hierarchy, scene)
    with pytest.raises(ImageError, match="broken holds no voxels"):
        apply_to_folder(patient, Application(registered["forward"]))
    assert state(hierarchy, scene) == before
    scan = scene.GetFirstNodeByName("scan")
    scan.SetAndObserveTransformNodeID(transform_to_node(known_forward(), name="bent").GetID())
    before = state(hierarchy, scene)
    with pytest.raises(GeometryError, match="scan is under the non-linear transform bent"):
        apply_to_folder(patient, Application(registered["forward"]))
    assert state(hierarchy, scene) == before


def test_cancelling_removes_what_was_made(hierarchy, patient, registered, scene):
    texts = []

    def stop_at_the_second(fraction, text):
        texts.append((round(fraction, 2), text))
        if len(texts) == 2:
            raise Cancelled("stopped by the test")

    before = state(hierarchy, scene)
    with pytest.raises(Cancelled, match="stopped by the test"):
        apply_to_folder(patient, Application(registered["forward"]), stop_at_the_second)
    assert texts == [(0.0, "Moving scan"), (0.33, "Moving organs")]
    assert state(hierarchy, scene) == before


def test_folders_without_anything_to_move_are_refused(hierarchy, scene, registered):
    empty = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "empty")
    with pytest.raises(OutputError, match="empty holds nothing that a transform can be applied to"):
        apply_to_folder(empty, Application(registered["forward"]))
    with pytest.raises(OutputError, match="no folder with the item number 987654"):
        apply_to_folder(987654, Application(registered["forward"]))
    with pytest.raises(OutputError, match="There is no transform to apply"):
        apply_to_folder(empty, Application(None))
