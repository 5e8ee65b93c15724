"""Register, from the click to the nodes; Cancel; and what the panel shows meanwhile and afterwards."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume, reslice
from support.scene_content import content
from support.scripted_worker import ScriptedWorker
from support.segmentations import add_segmentation
from support.volumes import a_geometry
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.evaluation.rows import CONSISTENCY


def a_ball(name: str, shift: float, grid: str):
    """A volume node with a soft ball, some mm off the centre of its grid."""
    geometry = a_geometry(grid, (18, 18, 18), 2.0)
    distance = np.linalg.norm(geometry.points() - geometry.centre - shift, axis=-1)
    return add_volume(Image((100 * np.clip(1.5 - distance / 8, 0, 1)).astype(np.float32), geometry), name)


@pytest.fixture
def volumes(scene):
    return a_ball("fixed", 0.0, "RAS"), a_ball("moving", 1.5, "oblique")


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


@pytest.fixture
def worker(panel):
    """The worker of the panel, under the test's control."""
    worker = ScriptedWorker()
    panel.widget.panel.runner.makeWorker = lambda: worker
    return worker


@pytest.fixture
def ready(panel, volumes, worker):
    """The panel with two volumes chosen and little time for the optimisation."""
    panel.choose(fixedSelector=volumes[0], movingSelector=volumes[1])
    panel.ui.budgetSlider.value = 1
    return panel


def parameters(panel):
    return panel.widget.panel.parameters


def nodes_of(scene) -> list[str]:
    """What is in the scene, apart from display and storage."""
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return [node.GetID() for node in nodes if not node.IsA("vtkMRMLDisplayNode")]


def is_idle(panel) -> bool:
    return not panel.widget.panel.working


def rows_of(table) -> list[list[str]]:
    columns = range(table.GetNumberOfColumns())
    return [[table.GetCellText(row, column) for column in columns] for row in range(table.GetNumberOfRows())]


def cells(table) -> list[str]:
    return [cell for row in rows_of(table) for cell in row]


def finish(panel, worker) -> None:
    worker.finish()
    panel.wait(lambda: is_idle(panel))


def test_register_says_what_is_missing(panel, volumes):
    button = panel.ui.registerButton
    assert (button.enabled, button.toolTip) == (False, "Choose a fixed volume.")
    panel.choose(fixedSelector=volumes[0])
    assert (button.enabled, button.toolTip) == (False, "Choose a moving volume.")
    panel.choose(movingSelector=volumes[0])
    assert (button.enabled, button.toolTip) == (False, "Choose two different volumes.")
    panel.choose(movingSelector=volumes[1])
    assert button.enabled
    panel.choose(movedVolumeSelector=volumes[0])
    assert (button.enabled, button.toolTip) == (False, "fixed is chosen twice; choose another output.")


@pytest.mark.parametrize("name", ["movedVolumeSelector", "jacobianVolumeSelector"])
def test_an_output_that_is_an_input_is_refused(ready, volumes, name):
    ready.choose(**{name: volumes[1]})
    assert not ready.ui.registerButton.enabled
    assert "moving is chosen twice" in ready.ui.registerButton.toolTip


def test_one_transform_cannot_take_both_directions(ready, scene):
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "both")
    ready.choose(forwardTransformSelector=transform, inverseTransformSelector=transform)
    assert not ready.ui.registerButton.enabled


@pytest.mark.slow
def test_the_moved_volume_is_what_the_forward_transform_makes_of_the_moving_one(ready, volumes, worker):
    fixed, moving = volumes
    worker.aligns = True
    ready.click("registerButton")
    finish(ready, worker)
    chosen = parameters(ready)
    moved = slicer.util.arrayFromVolume(chosen.movedVolume).transpose(2, 1, 0)
    before = slicer.util.arrayFromVolume(fixed).transpose(2, 1, 0)
    moving.SetAndObserveTransformNodeID(chosen.forwardTransform.GetID())
    resampled = reslice(moving, fixed)
    inside = (slice(3, -3),) * 3
    assert np.abs(moved - resampled)[inside].max() < 1.0
    moving.SetAndObserveTransformNodeID(None)
    assert np.abs(moved - before).mean() < 0.5 * np.abs(reslice(moving, fixed) - before).mean()


@pytest.mark.slow
def test_outputs_are_created_by_name_and_shown(ready, worker):
    ready.click("registerButton")
    finish(ready, worker)
    assert ready.ui.movedVolumeSelector.currentNode().GetName() == "moving moved"
    assert ready.ui.forwardTransformSelector.currentNode().GetName() == "moving to fixed"
    assert ready.ui.inverseTransformSelector.currentNode().GetName() == "fixed to moving"
    assert ready.ui.jacobianVolumeSelector.currentNode() is None
    assert ready.ui.statusLabel.text == "Done: moving moved"
    assert not ready.ui.resultSection.collapsed
    assert ready.ui.resultsTableView.mrmlTableNode() is parameters(ready).resultsTable


@pytest.mark.slow
def test_the_table_says_what_measuring_again_says(ready, volumes, worker):
    ready.click("registerButton")
    finish(ready, worker)
    chosen = parameters(ready)
    again = ready.logic.evaluate(*volumes, chosen.movedVolume, chosen.forwardTransform)
    first = [cell for row in rows_of(chosen.resultsTable) for cell in row if row[0] != CONSISTENCY]
    for taken, measured in zip(first, cells(again), strict=True):
        (value, *unit), (other, *its) = taken.split(" ", 1), measured.split(" ", 1)
        assert taken == measured or (unit == its and float(value) == pytest.approx(float(other), abs=0.02))


@pytest.mark.slow
def test_chosen_outputs_receive_the_result(ready, scene, worker):
    moved, forward = ready.ui.movedVolumeSelector.addNode(), ready.ui.forwardTransformSelector.addNode()
    jacobian = ready.ui.jacobianVolumeSelector.addNode()
    ready.click("registerButton")
    finish(ready, worker)
    assert parameters(ready).movedVolume is moved
    assert moved.GetImageData().GetDimensions() == (18, 18, 18)
    assert forward.GetTransformFromParent() is not None
    assert 0.2 < slicer.util.arrayFromVolume(jacobian).mean() < 2


@pytest.mark.slow
def test_a_second_run_of_the_same_pair_reuses_the_nodes(ready, scene, worker):
    ready.click("registerButton")
    finish(ready, worker)
    before = nodes_of(scene)
    ready.click("registerButton")
    finish(ready, worker)
    assert nodes_of(scene) == before


@pytest.mark.slow
def test_another_pair_does_not_overwrite_the_earlier_result(ready, volumes, worker):
    ready.click("registerButton")
    finish(ready, worker)
    first = parameters(ready).movedVolume, parameters(ready).forwardTransform, parameters(ready).resultsTable
    ready.choose(movingSelector=a_ball("other", -1.0, "LPS"))
    ready.click("registerButton")
    finish(ready, worker)
    second = parameters(ready).movedVolume, parameters(ready).forwardTransform, parameters(ready).resultsTable
    assert not set(first) & set(second)
    assert second[0].GetName() == "other moved"


def test_settings_reach_the_job(ready, scene, worker):
    chosen = parameters(ready)
    chosen.affine, chosen.precision, chosen.interpolation = "rigid", "bfloat16", "cubic"
    ready.ui.smoothnessSlider.value = 0.7
    ready.ui.hyperSlider.value = 0.35
    ready.ui.allowFallbackCheckBox.click()
    initial = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "initial")
    ready.choose(initialTransformSelector=initial)
    ready.click("registerButton")
    job = worker.jobs[0]
    options = job.options
    assert (options.affine, options.precision, options.interpolation) == ("rigid", "bfloat16", "cubic")
    assert (options.smoothness, options.budget_s, options.device) == (0.7, 1.0, "auto")
    assert options.hyper == 0.5  # greyed out: this model was not trained for other values
    assert (job.model, job.allow_fallback) == ("optimise", True)
    assert job.initial is not None


def test_masks_reach_the_job(ready, volumes, worker):
    for volume, role in zip(volumes, ("fixed", "moving")):
        image = image_from_node(volume)
        inside = LabelMap((image.array > 10).astype(np.uint8), image.geometry)
        node = add_segmentation(f"{role} mask", [inside], [("a", "inside", 0, 1)])
        ready.choose(**{f"{role}MaskSelector": node})
    ready.click("registerButton")
    job = worker.jobs[0]
    assert 0 < job.fixed_mask.array.mean() < 1
    assert 0 < job.moving_mask.array.mean() < 1


@pytest.mark.slow
def test_while_it_runs_the_panel_shows_stage_and_time(ready, worker):
    ready.click("registerButton")
    assert ready.ui.progressBar.isVisibleTo(ready.frame)
    assert not ready.ui.registerButton.enabled
    assert not ready.ui.inputsSection.enabled
    assert not ready.ui.applyButton.enabled
    worker.report(0.4, "Optimising")
    ready.wait(lambda: "Optimising" in ready.ui.statusLabel.text)
    assert ready.ui.statusLabel.text == "Optimising (0:00)"
    assert ready.ui.progressBar.value == 400
    ready.wait(lambda: ready.ui.statusLabel.text == "Optimising (0:01)", 5)
    finish(ready, worker)
    assert not ready.ui.progressBar.isVisibleTo(ready.frame)
    assert ready.ui.registerButton.enabled
    assert ready.ui.inputsSection.enabled


@pytest.mark.slow
def test_cancel_before_anything_came_leaves_the_scene_as_it_was(ready, scene, worker):
    before = content(scene)
    ready.click("registerButton")
    ready.click("cancelButton")
    assert is_idle(ready)
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert content(scene) == before
    assert ready.ui.registerButton.enabled
    assert not ready.ui.cancelButton.enabled
    ready.click("registerButton")
    finish(ready, worker)
    assert ready.ui.statusLabel.text == "Done: moving moved"


def test_cancel_after_the_result_keeps_the_result(ready, worker):
    ready.click("registerButton")
    worker.finish()
    ready.widget.panel.runner.poll()
    ready.click("cancelButton")
    assert is_idle(ready)
    assert ready.ui.statusLabel.text == "Registered; what follows was cancelled"
    assert parameters(ready).movedVolume is not None
    assert parameters(ready).resultsTable is None


@pytest.mark.slow
def test_segmentation_and_table_follow_the_registration(ready, volumes, worker):
    for volume, role in zip(volumes, ("fixed", "moving")):
        image = image_from_node(volume)
        ball = LabelMap((image.array > 40).astype(np.uint8), image.geometry)
        node = add_segmentation(f"{role} segmentation", [ball], [("a", "ball", 0, 1)])
        ready.choose(**{f"{role}SegmentationSelector": node})
    ready.click("registerButton")
    finish(ready, worker)
    assert ready.ui.statusLabel.text == "Done: moving moved"
    assert parameters(ready).movedSegmentation.GetSegmentation().GetNthSegment(0).GetName() == "ball"
    assert any("ball" in text for text in cells(parameters(ready).resultsTable))


@pytest.mark.slow
def test_label_maps_follow_the_registration_too(ready, scene, volumes, worker):
    """FreeSurfer's segmentations, for one; a segmentation that was to receive the result is left alone."""
    for volume, role in zip(volumes, ("fixed", "moving")):
        image = image_from_node(volume)
        ball = LabelMap((image.array > 40).astype(np.uint8) * 17, image.geometry)
        node = add_volume(ball, f"{role} labels", "vtkMRMLLabelMapVolumeNode")
        ready.choose(**{f"{role}SegmentationSelector": node})
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    ready.choose(movedSegmentationSelector=empty)
    ready.click("registerButton")
    finish(ready, worker)
    assert ready.ui.statusLabel.text == "Done: moving moved"
    moved = ready.ui.movedSegmentationSelector.currentNode()
    assert moved.GetClassName() == "vtkMRMLLabelMapVolumeNode"
    assert set(np.unique(slicer.util.arrayFromVolume(moved))) == {0, 17}
    assert empty.GetSegmentation().GetNumberOfSegments() == 0
    assert "label 17" in cells(parameters(ready).resultsTable)


def test_closing_the_module_ends_the_worker(ready, worker):
    ready.click("registerButton")
    ready.widget.cleanup()
    assert worker.was_closed
    assert is_idle(ready)


@pytest.mark.slow
def test_the_run_goes_on_in_another_module(ready, worker):
    ready.click("registerButton")
    ready.leave()
    finish(ready, worker)
    ready.enter()
    assert ready.ui.movedVolumeSelector.currentNode().GetName() == "moving moved"
