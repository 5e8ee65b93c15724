"""Widgets of the training section as a person uses them: folders, the text under "More options", device, warning."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support import fake_trainer
from VoxelMorphLib.core.devices import Device


@pytest.fixture
def panel(a_module_widget, tmp_path, monkeypatch):
    """With the section open, images and an output folder."""
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    panel = a_module_widget()
    panel.ui.trainingSection.collapsed = False
    panel.ui.trainingImageListEdit.currentPath = str(tmp_path / "images")
    panel.ui.trainingOutputDirEdit.currentPath = str(tmp_path / "out")
    return panel


def section(panel):
    return panel.widget.panel.training


def kept(panel) -> dict:
    return json.loads(panel.widget.panel.parameters.training)


def activate(box, value: str) -> None:
    """Choose an item of a combo box as a person does."""
    assert box.findData(value) >= 0, f"{box.name} does not offer {value}"
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def test_the_folder_of_label_maps_is_chosen_by_a_button(panel, dialogs):
    activate(panel.ui.trainingRecipeComboBox, "semisupervised")
    dialogs.answer("/data/labels")
    panel.click("trainingLabelFolderButton")
    assert panel.ui.trainingLabelListEdit.currentPath == "/data/labels"
    assert kept(panel)["label_list"] == "/data/labels"
    dialogs.answer("")
    panel.click("trainingLabelFolderButton")
    assert kept(panel)["label_list"] == "/data/labels"


def test_what_cannot_be_used_stays_to_be_corrected(panel):
    edit = panel.ui.trainingRateEdit
    edit.text = "fast"
    panel.ui.trainingEpochsSpinBox.value = 7
    assert (edit.text, kept(panel)["epochs"]) == ("fast", 7)
    assert panel.ui.trainButton.toolTip == panel.ui.trainingProblemLabel.text == "lr: 'fast' is not a number."
    edit.text = "0.01"
    assert panel.ui.trainButton.enabled
    assert kept(panel)["lr"] == 0.01


def test_another_recipe_begins_with_values_that_can_be_used(panel):
    panel.ui.trainingRateEdit.text = "fast"
    activate(panel.ui.trainingRecipeComboBox, "pairwise")
    assert panel.ui.trainButton.enabled
    assert float(panel.ui.trainingRateEdit.text) == section(panel).config.lr


def test_the_folder_of_label_maps_is_locked_where_a_recipe_has_none(panel):
    activate(panel.ui.trainingRecipeComboBox, "pairwise")
    assert panel.ui.trainingLabelFolderButton.enabled == hasattr(section(panel).config, "label_list")


def test_more_options_are_opened_edited_and_closed(panel):
    more, edit = panel.ui.trainingMoreSection, panel.ui.trainingOptionsEdit
    assert more.collapsed
    assert not edit.isVisibleTo(panel.frame)
    more.click()
    assert not more.collapsed
    assert edit.isVisibleTo(panel.frame)
    options = json.loads(edit.plainText)
    options["epochs"], options["precision"] = 17, "bfloat16"
    edit.plainText = json.dumps(options)
    assert panel.ui.trainingEpochsSpinBox.value == 17
    assert panel.ui.trainingPrecisionComboBox.currentData == "bfloat16"
    assert (kept(panel)["epochs"], kept(panel)["precision"]) == (17, "bfloat16")
    more.click()
    assert not edit.isVisibleTo(panel.frame)
    assert kept(panel)["epochs"] == 17


def test_a_device_is_chosen_as_by_a_person(panel):
    panel.widget.panel.devices.setDevices([Device("cuda:0", "A card", 2**30), Device("cpu", "Processor")])
    panel.widget.panel._onDevicesFound()
    activate(panel.ui.trainingDeviceComboBox, "cpu")
    assert kept(panel)["device"] == section(panel).config.device == "cpu"
    activate(panel.ui.trainingDeviceComboBox, "auto")
    assert section(panel).config.device == "auto"
    assert panel.widget.panel.parameters.device == "auto"


def test_the_warning_sign_comes_with_an_error_and_goes_with_the_next_start(panel, dialogs):
    icon = panel.ui.trainingStatusIconLabel
    assert not icon.isVisibleTo(panel.frame)
    section(panel).command = fake_trainer.command("refuse")
    panel.click("trainButton")
    assert not icon.isVisibleTo(panel.frame)
    panel.wait(lambda: not section(panel).working)
    assert icon.isVisibleTo(panel.frame)
    assert len(dialogs.texts) == 1
    section(panel).command = fake_trainer.command("finish")
    panel.click("checkTrainingButton")
    assert not icon.isVisibleTo(panel.frame)
    panel.wait(lambda: not section(panel).working)
    assert not icon.isVisibleTo(panel.frame)
