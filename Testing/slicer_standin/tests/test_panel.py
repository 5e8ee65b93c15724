"""Module panels over the stand-in: opened, clicked, waited for, reloaded and closed as in Slicer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

from slicer_standin.panel import spin, spin_until
from slicer_standin.signals import slot_errors

DEMO = Path(__file__).parent / "standin_demo" / "StandInDemo.py"


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget(DEMO)


@pytest.fixture
def a_volume(scene):
    return slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.float32), name="fixed")


def test_the_module_is_known_to_the_application(panel):
    assert slicer.modules.standindemo.title == "Stand-in demo"
    assert slicer.modules.standindemo.categories == ("Testing",)
    assert slicer.util.modulePath("StandInDemo") == str(DEMO)
    assert "StandInDemo" in slicer.app.moduleManager().modulesNames()


def test_the_panel_gets_the_scene_and_hands_it_on(panel):
    assert panel.ui.fixedSelector.mrmlScene() is slicer.mrmlScene
    assert panel.ui.fixedSelector.enabled


def test_a_button_is_clicked_and_the_work_waited_for(panel, a_volume):
    panel.choose(fixedSelector=a_volume)
    panel.click("applyButton")
    panel.wait(lambda: panel.ui.statusLabel.text == "100 %", timeout_s=5)
    assert panel.ui.progressBar.value == 100


def test_a_disabled_button_cannot_be_clicked(panel):
    with pytest.raises(AssertionError, match="applyButton is disabled: Choose a volume"):
        panel.click("applyButton")


def test_a_hidden_button_cannot_be_clicked(panel):
    panel.ui.section.collapsed = True
    with pytest.raises(AssertionError, match="failButton is hidden"):
        panel.click("failButton")


def test_a_section_that_is_folded_in_the_ui_file_is_folded(panel):
    ui = panel.ui
    assert not ui.foldedLabel.isVisibleTo(panel.frame)
    ui.foldedSection.click()
    assert ui.foldedLabel.isVisibleTo(panel.frame)


def test_a_node_of_another_class_cannot_be_chosen(panel, a_volume):
    with pytest.raises(AssertionError, match="transformSelector does not list fixed"):
        panel.choose(transformSelector=a_volume)


def test_waiting_for_nothing_ends_at_the_deadline(panel):
    with pytest.raises(AssertionError, match=r"nothing happened within 0\.05 s"):
        spin_until(lambda: False, 0.05)


def test_an_exception_in_a_slot_is_recorded(panel):
    panel.click("failButton")
    assert [str(error) for error in slot_errors] == ["the demo fails on purpose"]
    slot_errors.clear()


def test_an_exception_in_a_timer_is_recorded(panel):
    import qt

    qt.QTimer.singleShot(0, panel.widget.onFail)
    spin(0.05)
    assert [str(error) for error in slot_errors] == ["the demo fails on purpose"]
    slot_errors.clear()


def test_an_exception_in_an_observer_is_recorded(panel, scene):
    def fail(_caller, _event):
        raise ValueError("observers fail too")

    tag = scene.AddObserver(scene.NodeAddedEvent, fail)
    scene.AddNewNodeByClass("vtkMRMLTextNode")
    scene.RemoveObserver(tag)
    assert [str(error) for error in slot_errors] == ["observers fail too"]
    slot_errors.clear()


def test_an_unanswered_dialog_fails_the_test(panel, dialogs):
    panel.ui.applyButton.enabled = True
    panel.ui.applyButton.clicked.connect(lambda: slicer.util.confirmOkCancelDisplay("Really?"))
    panel.click("applyButton")
    assert "does not answer" in str(slot_errors.pop())
    assert dialogs.unanswered == ["Really?"]
    dialogs.unanswered.clear()


def test_closing_the_scene_empties_the_panel(panel, a_volume):
    panel.choose(fixedSelector=a_volume)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.fixedSelector.currentNode() is None
    assert not panel.ui.applyButton.enabled


def test_the_module_is_entered_and_left(panel):
    panel.leave()
    panel.enter()
    assert panel.widget.calls == ["enter", "exit", "enter"]


def test_a_reload_builds_a_new_panel(panel, a_volume):
    before = panel.widget
    before.onReload()
    assert before.calls[-1] == "cleanup"
    assert panel.widget is not before
    panel.choose(fixedSelector=a_volume)
    assert panel.ui.applyButton.enabled


def test_closing_a_panel_cleans_up_and_deletes_it(a_module_widget):
    panel = a_module_widget(DEMO)
    widget, button = panel.widget, panel.ui.applyButton
    panel.close()
    assert widget.calls[-1] == "cleanup"
    assert not button
    with pytest.raises(ValueError, match="'text' of a destroyed QPushButton"):
        button.text = "too late"
    assert not hasattr(slicer.modules, "standindemo")


def test_panels_can_be_opened_many_times(a_module_widget, a_volume):
    for _round in range(8):
        panel = a_module_widget(DEMO)
        panel.choose(fixedSelector=a_volume)
        panel.close()


def test_an_error_of_vtk_is_recorded(application, panel):
    slicer.vtkMRMLScene().GetNthNodeByClass(0, None)
    assert len(application.errors) == 1
    application.errors.clear()


def test_a_picture_of_the_panel_is_written(panel, tmp_path):
    image = panel.picture(tmp_path / "panel.png", width=400).toImage()
    assert (tmp_path / "panel.png").stat().st_size > 1000
    assert image.width() == 400
    assert len({image.pixel(x, y) for x in range(0, 400, 3) for y in range(0, image.height(), 3)}) > 20


def test_a_folded_section_makes_the_picture_lower(panel, tmp_path):
    shown = panel.picture(tmp_path / "shown.png").height()
    panel.ui.section.collapsed = True
    assert panel.picture(tmp_path / "folded.png").height() < shown - 100
