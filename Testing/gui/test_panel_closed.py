"""The scene or the panel is closed while packages are installed: nothing starts afterwards."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import is_idle

CLOSED = "The scene was closed meanwhile; nothing was done."


@pytest.fixture
def training(ready, monkeypatch, tmp_path):
    """What was started by the buttons of the training section, which can be clicked."""
    started = []
    (tmp_path / "images").mkdir()
    ready.ui.trainingSection.collapsed = False
    ready.ui.trainingImageListEdit.currentPath = str(tmp_path / "images")
    ready.ui.trainingOutputDirEdit.currentPath = str(tmp_path / "out")
    monkeypatch.setattr(ready.widget.panel.runner, "start", started.append)
    return started


def test_no_registration_starts_in_the_configuration_that_a_closed_scene_leaves(ready, scripted, scene, during):
    during(lambda: scene.Clear(0))
    ready.click("registerButton")
    assert ready.ui.statusLabel.text == CLOSED
    assert is_idle(ready)
    assert scripted.jobs == []


def test_no_training_starts_in_a_panel_that_was_closed(ready, training, during, dialogs):
    during(ready.widget.cleanup)
    ready.click("checkTrainingButton")
    assert training == []
    assert ready.ui.trainingStatusLabel.text == CLOSED
