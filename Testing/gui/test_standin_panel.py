"""Module panels over the stand-in: opened, clicked, reloaded and closed as in Slicer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


@pytest.fixture
def two_volumes(scene):
    voxels = np.zeros((8, 8, 8), np.float32)
    return [slicer.util.addVolumeFromArray(voxels, name=name) for name in ("fixed", "moving")]


def test_the_panel_has_the_widgets_of_its_ui_file(panel):
    assert panel.ui.registerButton.text
    assert panel.ui.fixedSelector.mrmlScene() is slicer.mrmlScene


def test_choosing_two_volumes_enables_the_button(panel, two_volumes):
    assert not panel.ui.registerButton.enabled
    panel.choose(fixedSelector=two_volumes[0], movingSelector=two_volumes[1])
    assert panel.ui.registerButton.enabled


def test_a_disabled_button_cannot_be_clicked(panel):
    with pytest.raises(AssertionError, match="registerButton is disabled"):
        panel.click("registerButton")
