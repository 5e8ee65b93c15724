"""Sequences from the panel: every frame through the worker, cancelled at any frame, and nothing half done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.made_up_worker import known_result
from support.mrml_nodes import add_volume
from support.scene_content import content
from support.scripted_worker import ScriptedWorker
from support.segmentations import add_segmentation
from support.sequences import GRID, a_series
from support.volumes import a_blob_image
from VoxelMorphLib.core.errors import WorkerError
from VoxelMorphLib.core.image import LabelMap


class FrameWorker(ScriptedWorker):
    """Answers with a known warp, one frame each time the test says so."""

    warnings: tuple[str, ...] = ()

    def finish(self) -> None:
        job = self._submitted
        result = known_result(job.request)
        result.report = replace(result.report, warnings=self.warnings)
        self._answers.append(lambda: job.end(result))


@pytest.fixture
def series(sequences, scene):
    return a_series(scene)


@pytest.fixture
def panel(sequences, a_module_widget):
    return a_module_widget()


@pytest.fixture
def worker(panel):
    worker = FrameWorker()
    panel.widget.panel.runner.makeWorker = lambda: worker
    return worker


@pytest.fixture
def ready(panel, series, worker):
    panel.ui.sequenceSection.collapsed = False
    panel.choose(sequenceSelector=series)
    return panel


def choose_reference(panel, value: str) -> None:
    box = panel.ui.sequenceReferenceComboBox
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def is_idle(panel) -> bool:
    return not panel.widget.panel.working


def answer_all(panel, worker, frames: int) -> None:
    for count in range(1, frames + 1):
        panel.wait(lambda count=count: len(worker.jobs) == count)
        worker.finish()
    panel.wait(lambda: is_idle(panel))


def test_the_button_says_what_is_missing(panel, series):
    panel.ui.sequenceSection.collapsed = False
    button = panel.ui.registerSequenceButton
    assert (button.enabled, button.toolTip) == (False, "Choose a sequence.")
    panel.choose(sequenceSelector=series)
    assert button.enabled
    panel.ui.sequenceFrameSpinBox.value = 4
    assert (button.enabled, button.toolTip) == (False, "heart has 3 frames; choose one of them.")
    choose_reference(panel, "volume")
    assert (button.enabled, button.toolTip) == (False, "Choose a fixed volume, or a frame as the reference.")
    assert not panel.ui.sequenceFrameSpinBox.enabled
    panel.choose(fixedSelector=add_volume(a_blob_image(GRID), "atlas"))
    assert button.enabled
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    panel.choose(sequenceSelector=empty)
    assert (button.enabled, button.toolTip) == (False, "empty has no frames; choose another sequence.")


def test_all_frames_are_registered_to_the_chosen_one(ready, series, worker):
    ready.ui.sequenceFrameSpinBox.value = 2
    ready.ui.smoothnessSlider.value = 0.9
    ready.click("registerSequenceButton")
    assert not ready.ui.registerButton.enabled
    answer_all(ready, worker, 2)
    browser = ready.ui.sequenceBrowserSelector.currentNode()
    assert ready.ui.statusLabel.text == f"Done: {browser.GetName()}"
    assert browser.GetMasterSequenceNode().GetNumberOfDataNodes() == 3
    assert browser.GetNumberOfSynchronizedSequenceNodes() == 1
    reference = slicer.util.arrayFromVolume(series.GetNthDataNode(1))
    for job in worker.jobs:
        np.testing.assert_array_equal(job.fixed.array, reference.transpose(2, 1, 0))
        assert job.options.smoothness == 0.9
    assert ready.ui.registerSequenceButton.enabled


def test_the_fixed_volume_is_the_reference_and_its_mask_goes_along(ready, worker):
    image = a_blob_image(GRID, 7)
    fixed = add_volume(image, "atlas")
    inside = LabelMap((image.array > image.array.mean()).astype(np.uint8), GRID)
    mask = add_segmentation("mask", [inside], [("a", "inside", 0, 1)])
    ready.choose(fixedSelector=fixed, fixedMaskSelector=mask)
    choose_reference(ready, "volume")
    ready.click("registerSequenceButton")
    answer_all(ready, worker, 3)
    assert len(worker.jobs) == 3
    assert all(0 < job.fixed_mask.array.mean() < 1 and job.moving_mask is None for job in worker.jobs)


@pytest.mark.parametrize("reference", ["volume", "frame"])
def test_the_initial_transform_is_one_to_the_fixed_volume(ready, scene, worker, reference):
    initial = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "rough")
    ready.choose(fixedSelector=add_volume(a_blob_image(GRID, 7), "atlas"), initialTransformSelector=initial)
    choose_reference(ready, reference)
    ready.click("registerSequenceButton")
    assert (worker.jobs[0].initial is not None) == (reference == "volume")
    ready.click("cancelSequenceButton")


def test_warnings_of_frames_stand_behind_done(ready, worker):
    worker.warnings = ("Half resolution.",)
    ready.click("registerSequenceButton")
    answer_all(ready, worker, 2)
    text = ready.ui.statusLabel.text
    assert text.startswith("Done: heart registered. Frame 2 of 3 (time 1.5 s): Half resolution. Frame 3 of 3")


def test_progress_names_the_frame_and_counts_all(ready, worker):
    ready.click("registerSequenceButton")
    worker.report(0.5, "Optimising")
    ready.wait(lambda: "Optimising" in ready.ui.statusLabel.text)
    assert ready.ui.statusLabel.text == "Frame 2 of 3 (time 1.5 s): Optimising (0:00)"
    assert ready.ui.progressBar.value == 500


@pytest.mark.parametrize("frames_done", [0, 1])
def test_cancel_at_any_frame_leaves_the_scene_as_it_was(ready, scene, worker, frames_done):
    before = content(scene)
    ready.click("registerSequenceButton")
    for _frame in range(frames_done):
        count = len(worker.jobs)
        worker.finish()
        ready.wait(lambda count=count: len(worker.jobs) > count)
    ready.click("cancelSequenceButton")
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert content(scene) == before
    worker.jobs.clear()
    ready.click("registerSequenceButton")
    answer_all(ready, worker, 2)
    assert ready.ui.statusLabel.text == "Done: heart registered"


def test_a_frame_that_fails_is_named_and_nothing_is_kept(ready, scene, worker, caplog):
    before = content(scene)
    ready.click("registerSequenceButton")
    worker.finish()
    ready.wait(lambda: len(worker.jobs) == 2)
    worker.fail(WorkerError("The process ended.", "line 7, in forward"))
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text == "Frame 3 of 3 (time 3 s) failed: The process ended."
    assert "line 7, in forward" in caplog.text
    assert content(scene) == before


def test_a_sequence_that_leaves_while_it_runs(ready, scene, series, worker):
    ready.click("registerSequenceButton")
    scene.RemoveNode(series)
    before = content(scene)
    worker.finish()
    ready.wait(lambda: is_idle(ready))
    assert "heart left the scene" in ready.ui.statusLabel.text
    assert content(scene) == before


def test_a_constant_frame_is_refused_at_the_click(panel, scene, sequences, worker):
    from VoxelMorphLib.core.image import Image

    panel.ui.sequenceSection.collapsed = False
    panel.choose(sequenceSelector=a_series(scene, [a_blob_image(GRID), Image(np.zeros(GRID.shape), GRID, "empty")]))
    panel.click("registerSequenceButton")
    assert is_idle(panel)
    assert panel.ui.statusLabel.text.startswith("Frame 2 of 2 (time 1.5 s) failed: ")
    assert worker.jobs == []


def test_a_sequence_of_the_reference_alone_is_done_at_once(panel, scene, sequences, worker):
    panel.ui.sequenceSection.collapsed = False
    panel.choose(sequenceSelector=a_series(scene, [a_blob_image(GRID)]))
    panel.click("registerSequenceButton")
    assert is_idle(panel)
    assert panel.ui.statusLabel.text == "Done: heart registered"
    assert panel.ui.registerSequenceButton.enabled


def test_the_moved_volumes_are_shown(ready, scene, worker):
    layers = slicer.vtkMRMLSliceCompositeNode()
    layers.SetLayoutName("Red")
    layers = scene.AddNode(layers)  # or the one of that name that the scene keeps when it is cleared
    ready.click("registerSequenceButton")
    answer_all(ready, worker, 2)
    browser = ready.widget.panel.parameters.sequenceBrowser
    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    assert layers.GetBackgroundVolumeID() == proxy.GetID()


def test_a_sequence_is_carried_along_by_a_transform(panel, scene, series):
    panel.ui.applySection.collapsed = False
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "shift")
    atlas = add_volume(a_blob_image(GRID), "atlas")
    panel.choose(appliedTransformSelector=transform, appliedNodeSelector=series, appliedReferenceSelector=atlas)
    panel.click("applyButton")
    panel.wait(lambda: is_idle(panel))
    assert panel.ui.statusLabel.text == "Done: heart moved"
    moved = scene.GetFirstNodeByName("heart moved")
    assert moved.GetNumberOfDataNodes() == 3 and moved.GetNthIndexValue(2) == "3"
