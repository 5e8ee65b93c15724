"""A sequence can be chosen by the volume that shows it, as in the slice views."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.scripted_worker import ScriptedWorker
from support.sequences import GRID, a_series
from support.volumes import a_blob_image


@pytest.fixture
def series(sequences, scene):
    return a_series(scene)


@pytest.fixture
def shown(series, scene):
    """The volume that shows the sequence."""
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(series.GetID())
    return browser.GetProxyNode(series)


@pytest.fixture
def panel(sequences, a_module_widget):
    panel = a_module_widget()
    panel.ui.sequenceSection.collapsed = False
    return panel


def test_the_volume_that_shows_a_sequence_stands_for_it(panel, shown):
    worker = ScriptedWorker()
    panel.widget.panel.runner.makeWorker = lambda: worker
    panel.choose(sequenceSelector=shown)
    panel.ui.sequenceFrameSpinBox.value = 4
    assert panel.ui.registerSequenceButton.toolTip == "heart has 3 frames; choose one of them."
    panel.ui.sequenceFrameSpinBox.value = 2
    panel.click("registerSequenceButton")
    assert len(worker.jobs) == 1
    panel.click("cancelSequenceButton")


def test_a_volume_of_no_sequence_is_refused_before_the_click(panel):
    panel.choose(sequenceSelector=add_volume(a_blob_image(GRID), "atlas"))
    button = panel.ui.registerSequenceButton
    assert not button.enabled
    assert button.toolTip == "atlas shows no sequence; choose a sequence, or the volume that shows it."


def test_the_sequence_of_an_older_scene_is_found(panel, series):
    node = panel.widget.logic.createParameterNode()
    node = node if node.GetScene() is not None else slicer.mrmlScene.AddNode(node)
    node.SetParameter("sequence", "")
    node.SetNodeReferenceID("sequence", series.GetID())
    panel.widget.setParameterNode(node)
    assert panel.ui.sequenceSelector.currentNode() is series
    panel.choose(sequenceSelector=None)
    panel.widget.setParameterNode(None)
    panel.widget.setParameterNode(node)
    assert panel.ui.sequenceSelector.currentNode() is None
