"""After a registration: layers, fade, grid and table; and transforms applied to anything."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.scene_content import content
from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.bridge.scene.result_nodes import pair_of, set_pair
from VoxelMorphLib.core.io.transforms import read_transform

SMALL = (14, 14, 14)
LONG = "Dice overlap of the fixed segmentation, moved back"


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


@pytest.fixture
def layers(scene):
    """What a slice view shows."""
    node = slicer.vtkMRMLSliceCompositeNode()
    node.SetLayoutName("Red")
    return scene.AddNode(node)


@pytest.fixture
def volumes(scene):
    names = ("fixedVolume", "movingVolume", "movedVolume", "jacobianVolume")
    return {name: add_volume(a_blob_image(a_geometry("RAS", SMALL), seed), name) for seed, name in enumerate(names)}


@pytest.fixture
def forward(scene, volumes):
    """A transform that moves what belongs to the moving volume by 3 mm."""
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "forward")
    matrix = np.eye(4)
    matrix[0, 3] = 3.0
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetNodeReferenceID(node.GetFixedNodeReferenceRole(), volumes["fixedVolume"].GetID())
    node.SetNodeReferenceID(node.GetMovingNodeReferenceRole(), volumes["movingVolume"].GetID())
    return node


@pytest.fixture
def shown(panel, volumes, forward):
    """The panel with a finished result."""
    parameters = panel.widget.panel.parameters
    for name, node in volumes.items():
        setattr(parameters, name, node)
    parameters.forwardTransform = forward
    panel.ui.resultSection.collapsed = False
    panel.ui.applySection.collapsed = False
    return panel


def names(layers) -> tuple:
    ids = (layers.GetBackgroundVolumeID(), layers.GetForegroundVolumeID())
    return tuple(slicer.mrmlScene.GetNodeByID(item).GetName() if item else None for item in ids)


def choose_overlay(panel, value: str) -> None:
    box = panel.ui.overlayComboBox
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def apply(panel) -> None:
    """Click, and wait for the end."""
    panel.click("applyButton")
    panel.wait(lambda: not panel.widget.panel.working)


def test_a_result_is_laid_over_the_fixed_volume(layers, shown):
    assert names(layers) == ("fixedVolume", "movedVolume")
    assert layers.GetForegroundOpacity() == 0.5


def test_fade_and_overlay_follow_the_controls(layers, shown):
    shown.ui.fadeSlider.value = 0.25
    assert layers.GetForegroundOpacity() == 0.25
    choose_overlay(shown, "moving")
    assert names(layers) == ("fixedVolume", "movingVolume")
    choose_overlay(shown, "jacobian")
    assert names(layers) == ("fixedVolume", "jacobianVolume")


def test_other_settings_leave_the_views_of_the_user_alone(layers, shown, volumes):
    layers.SetBackgroundVolumeID(volumes["movingVolume"].GetID())
    shown.ui.smoothnessSlider.value = 1.0
    assert names(layers)[0] == "movingVolume"


def test_nothing_is_shown_without_the_tick(layers, panel, volumes):
    panel.ui.resultSection.collapsed = False
    panel.click("showResultCheckBox")
    for name, node in volumes.items():
        setattr(panel.widget.panel.parameters, name, node)
    assert names(layers) == (None, None)
    panel.click("showResultCheckBox")
    assert names(layers) == ("fixedVolume", "movedVolume")


def test_without_the_tick_the_overlay_goes_where_it_was_shown(layers, shown, scene, volumes):
    other = scene.AddNode(slicer.vtkMRMLSliceCompositeNode())
    other.SetForegroundVolumeID(volumes["movingVolume"].GetID())
    shown.click("showResultCheckBox")
    assert names(layers) == ("fixedVolume", None)
    assert names(other)[1] == "movingVolume"


def test_a_result_is_not_laid_over_volumes_that_it_does_not_belong_to(layers, shown, scene, volumes):
    set_pair(volumes["movedVolume"], volumes["fixedVolume"], volumes["movingVolume"])
    other = add_volume(a_blob_image(a_geometry("RAS", SMALL), 7), "other")
    shown.choose(fixedSelector=other)
    shown.ui.fadeSlider.value = 0.25
    assert names(layers) == ("fixedVolume", "movedVolume")
    choose_overlay(shown, "moving")
    assert names(layers) == ("other", "movingVolume")


def test_opening_a_saved_configuration_leaves_the_views_alone(layers, shown):
    layers.SetForegroundVolumeID(None)
    shown.leave()
    shown.enter()
    assert names(layers) == ("fixedVolume", None)


def test_the_grid_is_drawn_and_removed(shown, forward):
    shown.click("showGridCheckBox")
    display = forward.GetDisplayNode()
    assert display.GetVisibility2D()
    assert display.GetVisualizationMode() == display.VIS_MODE_GRID
    assert display.GetRegionNode().GetName() == "fixedVolume"
    shown.click("showGridCheckBox")
    assert not display.GetVisibility2D()


@pytest.mark.parametrize("is_gone", [False, True], ids=["there", "deleted"])
def test_the_grid_of_an_earlier_transform_does_not_stay(shown, scene, forward, is_gone):
    shown.click("showGridCheckBox")
    second = scene.AddNewNodeByClass("vtkMRMLTransformNode", "second")
    if is_gone:
        scene.RemoveNode(forward)
    shown.widget.panel.parameters.forwardTransform = second
    assert second.GetDisplayNode().GetVisibility2D()
    assert is_gone or not forward.GetDisplayNode().GetVisibility2D()
    shown.widget.panel.parameters.forwardTransform = None
    assert not second.GetDisplayNode().GetVisibility2D()


def test_the_grid_of_another_configuration_does_not_stay(shown, forward):
    shown.click("showGridCheckBox")
    shown.ui.parameterNodeSelector.addNode()
    assert not forward.GetDisplayNode().GetVisibility2D()


def test_what_a_person_made_visible_of_the_transform_stays(shown, forward):
    forward.CreateDefaultDisplayNodes()
    display = forward.GetDisplayNode()
    display.SetVisibility2D(True)
    display.SetVisualizationMode(display.VIS_MODE_GLYPH)
    shown.ui.fadeSlider.value = 0.25
    assert display.GetVisibility2D()
    assert display.GetVisualizationMode() == display.VIS_MODE_GLYPH


def test_the_jacobian_map_belongs_to_the_volumes_of_its_transform(shown, forward, volumes):
    set_pair(forward, volumes["fixedVolume"], volumes["movingVolume"])
    shown.widget.panel.parameters.jacobianVolume = None
    shown.choose(fixedSelector=add_volume(a_blob_image(a_geometry("RAS", (9, 9, 9)), 7), "other"))
    choose_overlay(shown, "jacobian")
    shown.wait(lambda: not shown.widget.panel.working)
    jacobian = shown.widget.panel.parameters.jacobianVolume
    assert jacobian.GetImageData().GetDimensions() == SMALL
    assert pair_of(jacobian) == (volumes["fixedVolume"], volumes["movingVolume"])


def test_the_table_of_the_configuration_is_shown(shown, scene):
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "results")
    shown.widget.panel.parameters.resultsTable = table
    assert shown.ui.resultsTableView.mrmlTableNode() is table
    scene.RemoveNode(table)
    shown.widget.panel.parameters.resultsTable = None
    assert shown.ui.resultsTableView.mrmlTableNode() is None


def a_results_table(scene, measures):
    """A table node with one column of text."""
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "results")
    table.AddColumn().SetName("Measure")
    for row, measure in enumerate(measures):
        table.AddEmptyRow()
        table.SetCellText(row, 0, measure)
    return table


def test_rows_are_as_high_as_the_longest_text_needs(shown, scene):
    view, table = shown.ui.resultsTableView, a_results_table(scene, ["Correlation", LONG])
    shown.widget.panel.parameters.resultsTable = table
    assert view.rowHeight(1) > 1.6 * view.rowHeight(0)
    table.SetCellText(0, 0, LONG)
    table.Modified()
    assert view.rowHeight(0) == view.rowHeight(1)


def test_apply_says_what_is_missing(shown, forward, volumes):
    assert shown.ui.applyButton.toolTip == "Choose a transform."
    shown.choose(appliedTransformSelector=forward)
    assert shown.ui.applyButton.toolTip == "Choose what the transform is applied to."
    assert not shown.ui.applyButton.enabled
    shown.choose(appliedNodeSelector=volumes["movingVolume"])
    assert shown.ui.applyButton.enabled


@pytest.mark.parametrize(("inverse", "expected"), [(False, 3.0), (True, -3.0)])
def test_landmarks_are_carried_in_both_directions(shown, scene, forward, inverse, expected):
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks")
    points.AddControlPoint(*CENTRE)
    shown.choose(appliedTransformSelector=forward, appliedNodeSelector=points)
    if inverse:
        shown.click("applyInverseCheckBox")
    apply(shown)
    result = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")[-1]
    assert shown.ui.statusLabel.text == f"Done: {result.GetName()}"
    moved = np.array(result.GetNthControlPointPosition(0)) - CENTRE
    assert moved == pytest.approx([expected, 0, 0], abs=1e-3)
    assert points.GetNthControlPointPosition(0) == pytest.approx(CENTRE)


def test_a_volume_is_carried_onto_the_chosen_grid(shown, scene, forward, volumes):
    grid = add_volume(a_blob_image(a_geometry("LPS", (10, 11, 12))), "grid")
    shown.choose(
        appliedTransformSelector=forward, appliedNodeSelector=volumes["movingVolume"], appliedReferenceSelector=grid
    )
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    apply(shown)
    (result,) = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetID() not in before]
    assert result.GetImageData().GetDimensions() == (10, 11, 12)


def test_what_cannot_be_applied_is_said_in_one_sentence(shown, scene, forward):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    shown.choose(appliedTransformSelector=forward, appliedNodeSelector=empty)
    before = content(scene)
    apply(shown)
    assert shown.ui.statusIconLabel.isVisibleTo(shown.frame)
    assert "empty" in shown.ui.statusLabel.text
    assert content(scene) == before


@pytest.fixture
def a_folder(hierarchy, scene, volumes):
    """A folder with a volume, landmarks and a table."""
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "visit")
    points = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "landmarks")
    points.AddControlPoint(*CENTRE)
    for node in (volumes["movingVolume"], points):
        hierarchy.CreateItem(folder, node)
    return folder


def test_a_whole_folder_is_carried_along(shown, scene, hierarchy, forward, a_folder):
    shown.choose(appliedTransformSelector=forward)
    box = shown.ui.appliedFolderComboBox
    box.setCurrentItem(a_folder)
    assert not shown.ui.appliedNodeSelector.enabled
    apply(shown)
    assert shown.ui.statusLabel.text == "Done: movingVolume moved, landmarks moved"
    result = hierarchy.GetItemByName("visit moved")
    for name in ("movingVolume moved", "landmarks moved"):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scene.GetFirstNodeByName(name))) == result
    box.clearSelection()
    assert shown.widget.panel.parameters.appliedFolder == ""
    assert shown.ui.appliedNodeSelector.enabled


def test_the_chosen_folder_is_found_by_what_is_saved_of_it(shown, hierarchy, a_folder):
    box, parameters = shown.ui.appliedFolderComboBox, shown.widget.panel.parameters
    box.setCurrentItem(a_folder)
    kept = parameters.appliedFolder
    assert hierarchy.GetItemByUID("VoxelMorph", kept) == a_folder
    parameters.appliedFolder = ""
    assert box.currentItem() == 0
    parameters.appliedFolder = kept
    assert box.currentItem() == a_folder


def test_a_folder_without_anything_to_move_is_refused(shown, scene, hierarchy, forward):
    empty = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "empty")
    shown.choose(appliedTransformSelector=forward)
    shown.ui.appliedFolderComboBox.setCurrentItem(empty)
    before = content(scene)
    apply(shown)
    assert "empty holds nothing that a transform can be applied to" in shown.ui.statusLabel.text
    assert content(scene) == before


def test_applying_can_be_cancelled(shown, scene, forward, volumes):
    shown.choose(appliedTransformSelector=forward, appliedNodeSelector=volumes["movingVolume"])
    before = content(scene)
    shown.click("applyButton")
    assert not shown.ui.registerButton.enabled
    shown.click("cancelApplyButton")
    assert not shown.widget.panel.working
    assert shown.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert content(scene) == before
    apply(shown)
    assert shown.ui.statusLabel.text == "Done: movingVolume moved"


def choose_box(panel, name: str, value: str) -> None:
    box = getattr(panel.ui, name)
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


@pytest.mark.parametrize(("result", "least", "most"), [("jacobian", 1, 1), ("displacement", 3, 3)])
def test_maps_of_a_transform_are_drawn(shown, scene, forward, volumes, result, least, most):
    shown.choose(appliedTransformSelector=forward)
    assert not shown.ui.applyButton.enabled
    choose_box(shown, "applyResultComboBox", result)
    assert shown.ui.applyButton.enabled and not shown.ui.appliedNodeSelector.enabled
    assert not shown.ui.applyInterpolationComboBox.enabled
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    apply(shown)
    (drawn,) = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetID() not in before]
    assert shown.ui.statusLabel.text == f"Done: {drawn.GetName()}"
    values = slicer.util.arrayFromVolume(drawn)
    assert values.min() == pytest.approx(least, abs=1e-4) and values.max() == pytest.approx(most, abs=1e-4)


def test_a_transform_of_one_part_is_not_split(shown, scene, forward):
    shown.choose(appliedTransformSelector=forward)
    choose_box(shown, "applyResultComboBox", "parts")
    before = content(scene)
    apply(shown)
    assert "is linear alone, so that there is nothing to split" in shown.ui.statusLabel.text
    assert content(scene) == before


def test_the_interpolation_is_chosen_by_a_click(shown, scene, forward, volumes):
    labels = add_volume(a_label_map(a_geometry("RAS", (8, 8, 8), 3.0)), "labels", "vtkMRMLLabelMapVolumeNode")
    shown.choose(appliedTransformSelector=forward, appliedNodeSelector=labels)
    found = {}
    for rule in ("linear", "multilabel"):
        choose_box(shown, "applyInterpolationComboBox", rule)
        apply(shown)
        found[rule] = slicer.util.arrayFromVolume(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")[-1]).copy()
    assert (found["linear"] != found["multilabel"]).any()
    assert set(np.unique(found["multilabel"])) <= {0, 2, 17, 53}


@pytest.mark.parametrize("name", ["saved.lta", "saved.h5", "saved.mgz", "saved.nii.gz"])
@pytest.mark.parametrize("inverse", [False, True])
def test_a_transform_is_saved_in_any_format(shown, forward, dialogs, tmp_path, name, inverse):
    assert shown.ui.saveTransformButton.toolTip == "Choose a transform."
    shown.choose(appliedTransformSelector=forward)
    if inverse:
        shown.click("applyInverseCheckBox")
    dialogs.answer(str(tmp_path / name))
    shown.click("saveTransformButton")
    shown.wait(lambda: not shown.widget.panel.working)
    assert shown.ui.statusLabel.text == f"Done: {tmp_path / name}"
    moved = read_transform(tmp_path / name).apply_to_points(np.array(CENTRE)) - CENTRE
    assert moved == pytest.approx([3.0 if inverse else -3.0, 0, 0], abs=1e-3)


def test_a_format_that_cannot_hold_the_transform_is_said(shown, scene, forward, dialogs, tmp_path):
    shown.choose(appliedTransformSelector=forward)
    dialogs.answer(str(tmp_path / "saved.png"), "")
    shown.click("saveTransformButton")
    shown.wait(lambda: not shown.widget.panel.working)
    assert "no transform format has the extension '.png'" in shown.ui.statusLabel.text
    shown.click("saveTransformButton")  # and the dialog closed
    assert not list(tmp_path.iterdir())
