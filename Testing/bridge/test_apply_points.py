"""Models and markups moved by transforms: as Slicer itself would move their points, forward and back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.known_registration import a_rigid_matrix, known_forward, known_registration
from support.mrml_nodes import add_linear_parent, map_from_world
from support.volumes import CENTRE
from VoxelMorphLib.bridge.actions.apply import Application, apply_transform
from VoxelMorphLib.bridge.scene.result_nodes import write_registration
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.core.errors import OutputError
from VoxelMorphLib.core.transform import AffineTransform
from vtk.util.numpy_support import vtk_to_numpy

POINTS = CENTRE + np.random.default_rng(0).uniform(-9, 9, (12, 3))


def add_markups(points, kind="Fiducial", name="landmarks"):
    node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", name)
    for index, point in enumerate(points):
        node.AddControlPoint(vtk.vtkVector3d(point), f"point {index}")
    return node


def positions(node):
    """(P, 3), world RAS mm."""
    return np.array([node.GetNthControlPointPositionWorld(i) for i in range(node.GetNumberOfControlPoints())])


def add_model(points, name="surface"):
    cloud = vtk.vtkPolyData()
    cloud.SetPoints(vtk.vtkPoints())
    for point in points:
        cloud.GetPoints().InsertNextPoint(point)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(cloud)
    return node


def mesh_points(node):
    return vtk_to_numpy(node.GetMesh().GetPoints().GetData()).astype(float)


def test_moving_points_land_where_the_forward_map_comes_from(registered):
    """The forward node fetches moving voxels for fixed places, so moving points go against it."""
    fixed_points = POINTS
    moving_points = known_forward().apply_to_points(fixed_points)
    result = apply_transform(add_markups(moving_points), Application(registered["forward"]))
    assert np.abs(positions(result) - fixed_points).max() < 0.1
    model = apply_transform(add_model(moving_points), Application(registered["forward"]))
    assert np.abs(mesh_points(model) - fixed_points).max() < 0.1


def test_forward_and_back_returns_every_point(registered):
    landmarks = add_markups(POINTS)
    there = apply_transform(landmarks, Application(registered["forward"]))
    assert np.linalg.norm(positions(there) - POINTS, axis=1).min() > 0.5
    for way in (Application(registered["forward"], inverse=True), Application(registered["inverse"])):
        assert np.abs(positions(apply_transform(there, way)) - POINTS).max() < 0.1


def test_the_explicit_inverse_is_used_without_a_warning(registered):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = apply_transform(add_markups(POINTS), Application(registered["forward"]))
    expected = map_from_world(registered["inverse"], POINTS)
    assert np.abs(positions(result) - expected).max() < 1e-6


def test_without_partner_the_inverse_is_searched_with_a_warning(scene):
    node = transform_to_node(known_forward(), name="alone")
    with pytest.warns(UserWarning, match="The inverse of alone is searched numerically"):
        result = apply_transform(add_markups(POINTS), Application(node))
    assert np.abs(known_forward().apply_to_points(positions(result)) - POINTS).max() < 0.05


def test_a_linear_transform_is_inverted_exactly_and_silently(scene):
    matrix = a_rigid_matrix(30, (4, 5, 6))
    node = transform_to_node(AffineTransform(matrix), name="rigid")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = apply_transform(add_markups(POINTS), Application(node))
    expected = AffineTransform(np.linalg.inv(matrix)).apply_to_points(POINTS)
    assert np.abs(positions(result) - expected).max() < 1e-9


def test_a_changed_transform_loses_its_partner(scene, registered):
    forward = registered["forward"]
    shift = vtk.vtkMatrix4x4()
    shift.SetElement(0, 3, 5.0)
    forward.ApplyTransformMatrix(shift)
    changed = pytest.warns(UserWarning, match=r"fixed to moving does not undo moving to fixed any longer \(by 2\.\d")
    with changed, pytest.warns(UserWarning, match="searched numerically"):
        result = apply_transform(add_markups(POINTS), Application(forward))
    assert np.abs(map_from_world(forward, positions(result)) - POINTS).max() < 0.1


def test_labels_and_descriptions_of_markups_stay(registered):
    landmarks = add_markups(POINTS)
    landmarks.SetNthControlPointDescription(3, "tip")
    landmarks.SetNthControlPointSelected(4, False)
    landmarks.CreateDefaultDisplayNodes()
    landmarks.GetDisplayNode().SetSelectedColor(0.1, 0.2, 0.3)
    before = positions(landmarks)
    result = apply_transform(landmarks, Application(registered["forward"]))
    assert result.GetName() == "landmarks moved"
    assert [result.GetNthControlPointLabel(i) for i in range(2)] == ["point 0", "point 1"]
    assert result.GetNthControlPointDescription(3) == "tip" and not result.GetNthControlPointSelected(4)
    assert result.GetDisplayNode() is not landmarks.GetDisplayNode()
    assert result.GetDisplayNode().GetSelectedColor() == (0.1, 0.2, 0.3)
    np.testing.assert_array_equal(positions(landmarks), before)


def test_models_keep_their_data_and_their_look(registered):
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(CENTRE)
    sphere.SetRadius(5)
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "sphere")
    model.SetAndObserveMesh(sphere.GetOutput())
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(0.9, 0.1, 0.4)
    before = mesh_points(model)
    result = apply_transform(model, Application(registered["forward"]))
    assert result.GetDisplayNode().GetColor() == (0.9, 0.1, 0.4)
    assert result.GetMesh().GetNumberOfCells() == model.GetMesh().GetNumberOfCells()
    np.testing.assert_array_equal(mesh_points(model), before)
    assert np.abs(mesh_points(result) - map_from_world(registered["inverse"], before)).max() < 1e-4


@pytest.mark.parametrize("kind", ["Line", "Angle", "Curve", "ClosedCurve"])
def test_every_kind_of_markups_is_moved(registered, kind):
    node = add_markups(POINTS[:2] if kind == "Line" else POINTS[:3], kind)
    result = apply_transform(node, Application(registered["forward"]))
    assert result.GetClassName() == node.GetClassName()
    expected = map_from_world(registered["inverse"], positions(node))
    assert np.abs(positions(result) - expected).max() < 1e-6


@pytest.fixture
def box(scene):
    box = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    box.SetCenter(CENTRE)
    box.SetSize(10, 12, 14)
    return box


def test_a_box_stays_a_box_and_it_is_said_how_far_its_corners_are_off(box, registered):
    with pytest.warns(UserWarning, match=r"box stays a box, whose corners lie up to [1-9]\.\d mm from where"):
        result = apply_transform(box, Application(registered["forward"]))
    centre = map_from_world(registered["inverse"], CENTRE[None])[0]
    assert np.abs(np.array(result.GetCenter()) - centre).max() < 0.1
    assert result.GetROIType() == result.ROITypeBox


def test_a_box_is_turned_without_a_word(box):
    matrix = a_rigid_matrix(20, (6, 2, -4))
    node = transform_to_node(AffineTransform(matrix))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = apply_transform(box, Application(node))
    np.testing.assert_allclose(result.GetSize(), (10, 12, 14), atol=1e-6)
    axes = slicer.util.arrayFromVTKMatrix(result.GetObjectToNodeMatrix())
    np.testing.assert_allclose(axes[:3, :3], np.linalg.inv(matrix)[:3, :3], atol=1e-6)


def test_a_plane_of_one_point_takes_the_direction_that_the_transform_has_there(scene, registered):
    plane = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", "plane")
    plane.SetPlaneType(plane.PlaneTypePointNormal)
    plane.SetCenter(CENTRE)
    normal = np.array([0.0, 0.6, 0.8])
    plane.SetNormal(normal)
    result = apply_transform(plane, Application(registered["forward"]))
    inside = 0.01 * np.array([[1.0, 0, 0], [0, 0.8, -0.6]])
    ends = map_from_world(registered["inverse"], CENTRE + np.vstack([np.zeros(3), inside]))
    expected = np.cross(*(ends[1:] - ends[0]))
    expected /= np.linalg.norm(expected)
    assert np.abs(np.array(result.GetCenter()) - ends[0]).max() < 0.01
    assert np.abs(np.abs(np.array(result.GetNormal()) @ expected) - 1) < 1e-3 < 1 - abs(expected @ normal)


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_parents_count_as_the_place_of_points(registered, kind):
    matrix = AffineTransform(a_rigid_matrix(20, (6, 2, -4)))
    to_parent = matrix if kind == "linear" else known_forward(0.8)
    parent = transform_to_node(to_parent.inverse(), name="parent")
    landmarks = add_markups(POINTS)
    landmarks.SetAndObserveTransformNodeID(parent.GetID())
    seen = positions(landmarks)
    assert np.abs(seen - POINTS).max() > 1
    result = apply_transform(landmarks, Application(registered["forward"]))
    assert result.GetParentTransformNode() is None
    assert np.abs(positions(result) - map_from_world(registered["inverse"], seen)).max() < 1e-6


def test_points_under_the_transform_already_are_moved_once(registered):
    landmarks, model = add_markups(POINTS), add_model(POINTS)
    for node, read in ((landmarks, positions), (model, mesh_points)):
        expected = read(apply_transform(node, Application(registered["forward"])))
        node.SetAndObserveTransformNodeID(registered["forward"].GetID())
        assert np.abs(read(apply_transform(node, Application(registered["forward"]))) - expected).max() < 1e-6


def test_points_find_the_space_of_a_moving_volume_that_had_parents(scene, volumes):
    fixed, moving = volumes
    matrix = a_rigid_matrix(15, (4, 0, -3))
    add_linear_parent(moving, matrix)
    nodes = write_registration(known_registration(fixed, moving), fixed, moving)
    moving_points = known_forward().apply_to_points(POINTS)
    for in_world in (True, False):
        own = moving_points if in_world else AffineTransform(np.linalg.inv(matrix)).apply_to_points(moving_points)
        landmarks = add_markups(own)
        if not in_world:
            landmarks.SetAndObserveTransformNodeID(moving.GetTransformNodeID())
        result = apply_transform(landmarks, Application(nodes["forward"]))
        assert np.abs(positions(result) - POINTS).max() < 0.1
        back = apply_transform(result, Application(nodes["inverse"]))
        assert np.abs(positions(back) - moving_points).max() < 0.1


def test_an_existing_target_of_the_same_kind_is_filled(scene, registered):
    target = add_markups(POINTS[:2], name="target")
    add_linear_parent(target, a_rigid_matrix(5, 1))
    landmarks = add_markups(POINTS)
    assert apply_transform(landmarks, Application(registered["forward"]), target) is target
    assert target.GetName() == "target" and target.GetNumberOfControlPoints() == len(POINTS)
    assert np.abs(positions(target) - map_from_world(registered["inverse"], POINTS)).max() < 1e-6
    with pytest.raises(OutputError, match="target is a vtkMRMLMarkupsFiducialNode and cannot hold a vtkMRMLModelNode"):
        apply_transform(add_model(POINTS), Application(registered["forward"]), target)


def test_a_failing_step_leaves_the_target_unchanged(scene, registered, monkeypatch):
    from VoxelMorphLib.bridge.actions import apply_points

    def fail(*_args):
        raise MemoryError("injected")

    monkeypatch.setattr(apply_points, "copy_display", fail)
    for node, target, read in (
        (add_markups(POINTS), add_markups(POINTS[:2]), positions),
        (add_model(POINTS), add_model(POINTS[:2]), mesh_points),
    ):
        parent = add_linear_parent(target, np.diag([1, 1, 1, 1.0]))
        kept, count, name = read(target), scene.GetNumberOfNodes(), target.GetName()
        for given in (target, None):
            with pytest.raises(MemoryError, match="injected"):
                apply_transform(node, Application(registered["forward"]), given)
        np.testing.assert_array_equal(read(target), kept)
        assert scene.GetNumberOfNodes() == count and target.GetParentTransformNode() is parent
        assert target.GetName() == name
