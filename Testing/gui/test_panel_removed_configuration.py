"""A configuration that is removed while it runs takes its run along."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from slicer_standin.panel import spin
from support.panel_runs import is_idle


def test_the_run_ends_and_nothing_is_added(ready, scripted, scene):
    removed = ready.widget.panel.parameters.parameterNode
    ready.click("registerButton")
    assert not is_idle(ready)
    scene.RemoveNode(removed)
    spin(0.2)
    assert is_idle(ready)
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert ready.widget.panel.parameters.parameterNode is not removed
    assert scene.GetFirstNodeByName("volume 2 moved") is None


@pytest.mark.slow
def test_another_configuration_leaves_the_run_alone(ready, scripted, scene):
    running = ready.widget.panel.parameters
    other = ready.widget.logic.createParameterNode()
    ready.click("registerButton")
    ready.widget.setParameterNode(scene.AddNode(other) if other.GetScene() is None else other)
    assert not is_idle(ready)
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    assert running.movedVolume.GetName() == "volume 2 moved"
