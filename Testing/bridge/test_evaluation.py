"""The table of results: every value agrees with what is known by construction, and unfit inputs change nothing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.known_registration import a_rigid_matrix, known_forward
from support.mrml_nodes import add_linear_parent, add_volume, map_points
from support.results_rows import numbers, read
from support.segmentations import segment_voxels
from support.volumes import CENTRE, a_geometry
from VoxelMorphLib.bridge.scene.scene_path import ScenePath
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, volume_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.metrics import correlation, mutual_information
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.evaluation.evaluate import evaluate as evaluated
from VoxelMorphLib.evaluation.rows import ALONE
from VoxelMorphLib.evaluation.subject import Subject

FIXED_POINTS = CENTRE + np.random.default_rng(1).uniform(-6, 6, (5, 3))
OFFSETS = np.array([[0.0, 0, 0], [1, 0, 0], [0, -2, 0], [0, 0, 3], [2, 1, 2]])


def add_landmarks(points, labels, name):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for point, label in zip(points, labels):
        node.AddControlPoint(vtk.vtkVector3d(point), label)
    return node


def test_the_table_has_named_columns_and_lies_beside_the_fixed_volume(logic, volumes, registered, scene):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    try:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "visit")
        hierarchy.CreateItem(folder, volumes[0])
        table = logic.evaluate(*volumes, registered["moved"], registered["forward"])
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(table)) == folder
    finally:
        hierarchy.RemoveAllItems(False)
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    assert names == ["Measure", "Structure", "Before", "After"]
    assert table.GetName() == "moving to fixed results"


def test_similarity_is_that_of_the_images_before_and_after(evaluate, volumes, registered):
    fixed, moving = (image_from_node(node) for node in volumes)
    before = AffineTransform(np.eye(4)).resample(moving, fixed.geometry).array
    after = image_from_node(registered["moved"]).array
    found = evaluate()
    measures = {("Correlation", "", "-1 to 1"): correlation, ("Mutual information", "", "nat"): mutual_information}
    points = fixed.geometry.points()
    mapped = map_points(registered["forward"].GetTransformFromParent(), points)
    shown = is_shown(points, moving) & is_shown(mapped, moving)
    for key, measure in measures.items():
        expected = [measure(fixed.array, image, mask=shown) for image in (before, after)]
        np.testing.assert_allclose(numbers(found[key]), expected, atol=6e-4)


def is_shown(points: np.ndarray, image: Image) -> np.ndarray:
    """Which of (..., 3) points in RAS mm lie in voxels of an image."""
    voxels = image.geometry.world_to_voxel(points)
    return ((voxels >= -0.5) & (voxels <= np.array(image.array.shape) - 0.5)).all(axis=-1)


def test_without_a_moved_volume_it_is_resampled(logic, volumes, registered, evaluate):
    found = read(logic.evaluate(*volumes, None, registered["forward"]))
    key = ("Correlation", "", "-1 to 1")
    np.testing.assert_allclose(numbers(found[key]), numbers(evaluate()[key]), atol=0.01)


def test_a_moving_volume_under_the_transform_is_seen_where_it_was(evaluate, volumes, registered):
    expected = evaluate()
    volumes[1].SetAndObserveTransformNodeID(registered["forward"].GetID())
    assert evaluate() == expected


def test_landmark_errors_are_known_by_construction(evaluate):
    labels = [f"point {index}" for index in range(5)]
    moving_points = known_forward().apply_to_points(FIXED_POINTS) + OFFSETS
    fixed = add_landmarks(FIXED_POINTS, labels, "F")
    moving = add_landmarks(moving_points[::-1], labels[::-1], "M")
    found = evaluate(fixedLandmarks=fixed, movingLandmarks=moving)
    errors = np.linalg.norm(OFFSETS, axis=1)
    for label, start, error in zip(labels, np.linalg.norm(FIXED_POINTS - moving_points, axis=1), errors):
        assert numbers(found["Landmark error", label, "mm"]) == pytest.approx([start, error], abs=0.02)
    assert numbers(found["Landmark error", "mean", "mm"])[1] == pytest.approx(errors.mean(), abs=0.02)


def test_landmarks_with_other_labels_are_paired_by_order(evaluate, registered):
    moving_points = known_forward().apply_to_points(FIXED_POINTS) + OFFSETS
    fixed = add_landmarks(FIXED_POINTS, [f"F-{i}" for i in range(5)], "F")
    moving = add_landmarks(moving_points, [f"M-{i}" for i in range(5)], "M")
    fixed.UnsetNthControlPointPosition(2)
    moving.UnsetNthControlPointPosition(2)
    moving.SetAndObserveTransformNodeID(registered["forward"].GetID())
    found = evaluate(fixedLandmarks=fixed, movingLandmarks=moving)
    assert ("Landmark error", "F-2", "mm") not in found
    assert numbers(found["Landmark error", "F-4", "mm"])[1] == pytest.approx(3.0, abs=0.02)


def test_folds_and_extremes_of_the_jacobian_are_counted(logic, scene, volumes):
    fixed, moving = volumes
    grid = volume_geometry(fixed)
    displacement = np.zeros((*grid.shape, 3), np.float32)
    axes = grid.affine[:3, :3]
    displacement[8] = axes[:, 0] * 4  # jumps over its neighbours along I and back: folds on one plane
    node = transform_to_node(DisplacementField(displacement, grid), name="folded")
    found = read(logic.evaluate(fixed, moving, None, node))
    plane = grid.shape[1] * grid.shape[2]
    assert found["Folded voxels", "", "voxels"] == ("", f"{plane} voxels")
    assert numbers(found["Folded voxels", "", "%"])[1] == pytest.approx(100 / grid.shape[0], rel=0.05)
    assert numbers(found["Jacobian determinant", "minimum", "1 keeps the volume"])[1] == pytest.approx(-1, abs=6e-3)
    assert numbers(found["Jacobian determinant", "maximum", "1 keeps the volume"])[1] == pytest.approx(3, abs=6e-3)
    assert not any(measure in ("Time", "Device", "Model") for measure, _structure, _unit in found)


def test_time_device_and_model_come_from_the_transform(evaluate):
    found = evaluate()
    assert found["Time", "", "s"] == ("", "12.5 s")
    assert found["Device", "", ""] == ("", "cpu") and found["Model", "", ""] == ("", "Optimise this pair")


def test_an_existing_table_is_replaced(scene, logic, volumes, registered):
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "mine")
    for _run in range(2):
        assert logic.evaluate(*volumes, registered["moved"], registered["forward"], table=table) is table
    assert table.GetName() == "mine" and table.GetNumberOfColumns() == 4
    assert ("Time", "", "s") in read(table)


def test_parents_count_as_the_place_of_everything(scene, logic, volumes, registered, evaluate):
    """Fixed volume, moved volume and fixed landmarks turned together: errors stay."""
    labels = ["a", "b"]
    points = FIXED_POINTS[:2]
    moving = add_landmarks(known_forward().apply_to_points(points) + OFFSETS[1], labels, "M")
    matrix = a_rigid_matrix(10, (1, 2, 3))
    own = AffineTransform(np.linalg.inv(matrix)).apply_to_points(points)
    fixed = add_landmarks(own, labels, "F")
    add_linear_parent(fixed, matrix)
    found = evaluate(fixedLandmarks=fixed, movingLandmarks=moving)
    assert numbers(found["Landmark error", "mean", "mm"])[1] == pytest.approx(1.0, abs=0.02)


def assert_refused(error, message, call):
    scene = slicer.mrmlScene
    before = scene.GetNumberOfNodes()
    with pytest.raises(error, match=message):
        call()
    assert scene.GetNumberOfNodes() == before


def test_unfit_inputs_are_refused(scene, logic, volumes, registered, segmentations, evaluate):
    fixed, moving = volumes
    moved, forward = registered["moved"], registered["forward"]
    gone = scene.AddNewNodeByClass("vtkMRMLTableNode", "gone")
    scene.RemoveNode(gone)
    few, many, none = (add_landmarks(FIXED_POINTS[:n], "abcde", f"{n} points") for n in (2, 5, 0))
    assert_refused(OutputError, "no forward transform", lambda: logic.evaluate(fixed, moving, moved, None))
    assert_refused(ImageError, "got none", lambda: logic.evaluate(None, moving, moved, forward))
    message = "fixed is a vtkMRMLScalarVolumeNode and cannot hold results"
    assert_refused(OutputError, message, lambda: evaluate(table=fixed))
    assert_refused(OutputError, "gone is no longer in the scene", lambda: evaluate(table=gone))
    message = "2 points has 2 placed points and 5 points 5"
    assert_refused(ImageError, message, lambda: evaluate(fixedLandmarks=few, movingLandmarks=many))
    assert_refused(ImageError, "have no placed points", lambda: evaluate(fixedLandmarks=none, movingLandmarks=none))
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    assert_refused(
        ImageError,
        "model is a vtkMRMLModelNode and has no structures",
        lambda: evaluate(fixedSegmentation=model, movingSegmentation=model),
    )
    segmentations[0].SetAndObserveTransformNodeID(forward.GetID())
    assert_refused(
        GeometryError,
        "truth is under the non-linear transform",
        lambda: evaluate(fixedSegmentation=segmentations[0], movingSegmentation=segmentations[1]),
    )
    scene.RemoveNode(moved)
    assert_refused(OutputError, "moving moved is no longer", lambda: logic.evaluate(fixed, moving, moved, forward))


def test_a_failing_step_leaves_the_table_unchanged(scene, logic, volumes, registered, monkeypatch):
    from VoxelMorphLib.bridge.actions import evaluate as evaluation

    table = logic.evaluate(*volumes, registered["moved"], registered["forward"])
    kept = read(table)
    real = evaluation.fill_table

    def fail(_rows, node):
        real([], node)
        raise MemoryError("injected")

    monkeypatch.setattr(evaluation, "fill_table", fail)
    for target in (table, None):
        assert_refused(
            MemoryError,
            "injected",
            lambda target=target: logic.evaluate(*volumes, registered["moved"], registered["forward"], table=target),
        )
    assert read(table) == kept


def test_the_panel_and_the_command_measure_the_same(evaluate, segmentations, volumes, registered):
    """Each reads its own way: nodes of the scene here, images and transforms there."""
    labels = [add_labels(node, axes) for node, axes in zip(segmentations, ("RAS", "LPS"))]
    fixed, moving = (image_from_node(node) for node in volumes)
    moved, inverse = image_from_node(registered["moved"]), ScenePath(registered["inverse"]).through_vtk()
    subject = Subject(
        "pair", fixed, moving, moved, *labels, forward=ScenePath(registered["forward"]).through_vtk(), inverse=inverse
    )
    known = {(row.measure.partition(" (")[0], row.name or row.structure, row.unit): row for row in evaluated(subject)}
    found = evaluate(fixedSegmentation=labels_node(labels[0], "F"), movingSegmentation=labels_node(labels[1], "M"))
    compared = 0
    for (name, structure, unit), cells in found.items():
        row = known.get((name, structure, unit if unit in ("mm", "%", "voxels", "nat") else ""))
        if row is None or row.measure == ALONE:
            continue
        for cell, value in zip(numbers(cells), (row.before, row.after)):
            assert (cell is None) == (value is None), name
            assert cell is None or cell == pytest.approx(value, abs=0.02, rel=0.02), (name, structure)
        compared += 1
    assert compared >= 15
    assert {"Volume similarity", "Inverse consistency error"} <= {name for name, _structure, _unit in found}
    assert any(name.startswith("Standard deviation of the logarithm") for name, _structure, _unit in found)


def add_labels(node, axes):
    """Two organs of a segmentation as a label map."""
    grid = a_geometry(axes, (34, 32, 30), 1.0)
    array = 5 * (segment_voxels(node, "a") > 0) + 9 * (segment_voxels(node, "b") > 0)
    return LabelMap(array.astype(np.int16), grid, node.GetName())


def labels_node(labels, name):
    return add_volume(labels, name, "vtkMRMLLabelMapVolumeNode")
