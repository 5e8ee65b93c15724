"""Landmarks and segmentations that guide: what the panel asks for, passes on, and tells of their distances."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_points, add_volume
from support.panel_runs import SMALL, is_idle
from support.volumes import CENTRE, a_geometry, a_label_map

#: Corners of a box around the middle, RAS mm.
PLACES = CENTRE + np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])


@pytest.fixture
def marked(ready):
    """The panel with landmarks that lie 3 mm apart."""
    ready.ui.advancedSection.collapsed = False
    nodes = add_points("fixed points", PLACES), add_points("moving points", PLACES + [3, 0, 0])
    ready.choose(fixedLandmarksSelector=nodes[0], movingLandmarksSelector=nodes[1])
    return ready, *nodes


def add_labels(name: str, seed: int):
    return add_volume(a_label_map(a_geometry("RAS", SMALL), seed), name, "vtkMRMLLabelMapVolumeNode")


def told(panel) -> str:
    label = panel.ui.landmarkStatusLabel
    return label.text if label.isVisibleTo(label.parent()) else ""


def test_the_distances_follow_the_landmarks(marked):
    panel, fixed, moving = marked
    assert told(panel) == "Landmarks: 3.00 mm apart on average, 3.00 mm at most (P-0)"
    moving.SetNthControlPointPosition(2, *(PLACES[2] + [0, 0, 7]))
    assert told(panel) == "Landmarks: 4.00 mm apart on average, 7.00 mm at most (P-2)"
    fixed.SetNthControlPointPosition(2, *(PLACES[2] + [0, 0, 7]))
    assert told(panel) == "Landmarks: 2.25 mm apart on average, 3.00 mm at most (P-0)"
    fixed.RemoveNthControlPoint(2)
    assert "has 3 placed points and moving points 4" in told(panel)
    moving.RemoveNthControlPoint(2)
    assert told(panel).startswith("Landmarks: 3.00 mm")
    panel.choose(movingLandmarksSelector=None)
    assert told(panel) == ""


def test_the_distances_follow_the_transform(marked):
    panel, _fixed, moving = marked
    parameters = panel.widget.panel.parameters
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    parameters.forwardTransform = shift
    assert told(panel).startswith("Landmarks: 3.00 mm")
    matrix = np.eye(4)
    matrix[0, 3] = -2
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    assert told(panel).startswith("Landmarks: 1.00 mm")
    moving.SetAndObserveTransformNodeID(shift.GetID())  # where they are drawn, not where they are
    assert told(panel).startswith("Landmarks: 1.00 mm")


def test_nothing_is_followed_after_the_panel_was_closed(marked):
    panel, _fixed, moving = marked
    panel.widget.cleanup()
    before = panel.ui.landmarkStatusLabel.text
    moving.SetNthControlPointPosition(0, 0, 0, 0)
    assert panel.ui.landmarkStatusLabel.text == before
    assert not panel.widget.panel.landmarks._observed


def test_landmarks_only_measure_unless_they_shall_pull(marked, scripted):
    panel = marked[0]
    panel.click("registerButton")
    assert scripted.jobs[0].fixed_landmarks is None


def test_landmarks_that_pull_are_passed_on(marked, scripted):
    panel = marked[0]
    panel.click("landmarksGuideCheckBox")
    panel.click("registerButton")
    job = scripted.jobs[0]
    np.testing.assert_allclose(job.moving_landmarks - job.fixed_landmarks, np.tile([3.0, 0, 0], (4, 1)), atol=1e-9)
    assert job.options.landmark_weight == 1
    scripted.finish()
    panel.wait(lambda: is_idle(panel))
    assert told(panel)


def test_landmarks_start_without_pulling(marked, scripted):
    panel = marked[0]
    panel.widget.panel.parameters.affine = "landmarks-rigid"
    panel.click("registerButton")
    job = scripted.jobs[0]
    assert len(job.fixed_landmarks) == 4
    assert (job.options.affine, job.options.landmark_weight) == ("landmarks-rigid", 0)


def test_what_pulls_has_a_weight_that_is_passed_on(marked, scripted):
    panel = marked[0]
    sliders = panel.ui.landmarkWeightSlider, panel.ui.labelWeightSlider
    assert [slider.enabled for slider in sliders] == [False, False]
    assert [slider.value for slider in sliders] == [1, 1]
    panel.click("landmarksGuideCheckBox")
    assert [slider.enabled for slider in sliders] == [True, False]
    panel.ui.landmarkWeightSlider.setValue(3.5)
    panel.click("registerButton")
    assert scripted.jobs[0].options.landmark_weight == 3.5


def test_nothing_pulls_where_nothing_is_optimised(marked):
    panel = marked[0]
    panel.click("landmarksGuideCheckBox")
    panel.widget.panel.parameters.model = "linear"
    assert not panel.ui.landmarkWeightSlider.enabled


def test_a_start_that_bends_is_no_affine_task(marked, scripted):
    panel = marked[0]
    parameters = panel.widget.panel.parameters
    parameters.model, parameters.affine = "linear", "landmarks-thin-plate"
    assert panel.ui.taskComboBox.currentData == "deformable"
    panel.click("registerButton")
    assert scripted.jobs[0].options.affine == "landmarks-thin-plate"
    assert len(scripted.jobs[0].fixed_landmarks) == 4


@pytest.mark.parametrize("start", ["landmarks-rigid", "landmarks-affine"])
def test_a_start_from_landmarks_shows_the_task_that_it_does(marked, start):
    panel = marked[0]
    parameters = panel.widget.panel.parameters
    parameters.model, parameters.affine = "linear", start
    assert panel.ui.taskComboBox.currentData == start.removeprefix("landmarks-")
    assert panel.ui.affineComboBox.currentData == start


def test_segmentations_that_pull_are_passed_on(ready, scripted):
    ready.ui.advancedSection.collapsed = False
    ready.choose(fixedSegmentationSelector=add_labels("one", 1), movingSegmentationSelector=add_labels("other", 2))
    ready.click("segmentationsGuideCheckBox")
    ready.click("registerButton")
    job = scripted.jobs[0]
    assert list(job.fixed_labels.labels()) == list(job.moving_labels.labels()) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("landmarksGuide", "Choose fixed and moving landmarks under Advanced, or do not let them pull."),
        ("segmentationsGuide", "Choose a fixed and a moving segmentation under Advanced, or do not let them pull."),
    ],
)
def test_what_is_missing_to_pull_is_said(ready, name, words):
    setattr(ready.widget.panel.parameters, name, True)
    assert (ready.ui.registerButton.enabled, ready.ui.registerButton.toolTip) == (False, words)


def test_what_is_missing_to_start_is_said(ready):
    ready.widget.panel.parameters.affine = "landmarks-affine"
    assert ready.ui.registerButton.toolTip == "Choose fixed and moving landmarks under Advanced, or another start."


def test_what_cannot_pull_is_told_at_the_click(ready, scripted, scene):
    ready.ui.advancedSection.collapsed = False
    nodes = add_points("three", PLACES[:3]), add_points("four", PLACES)
    ready.choose(fixedLandmarksSelector=nodes[0], movingLandmarksSelector=nodes[1])
    ready.click("landmarksGuideCheckBox")
    ready.click("registerButton")
    assert "three has 3 placed points and four 4" in ready.ui.statusLabel.text
    assert not scripted.jobs
