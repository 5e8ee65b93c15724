"""Presets by clicks: one choice sets everything, changed settings are told, and own presets are kept and shared."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from VoxelMorphLib.registration.presets import GENERAL


@pytest.fixture
def panel(a_module_widget, cache):
    return a_module_widget()


@pytest.fixture
def chosen(panel):
    return panel.widget.panel.parameters


def choose(panel, preset: str) -> None:
    box = panel.ui.presetComboBox
    box.setCurrentIndex(box.findData(preset))
    box.activated.emit(box.currentIndex)


def shown(panel) -> str:
    return panel.ui.presetComboBox.currentData


def test_a_new_panel_shows_the_general_preset(panel):
    assert shown(panel) == GENERAL
    assert panel.ui.presetComboBox.findData("") == -1
    assert not panel.widget.panel.presets.actions["savePresetAction"].enabled
    assert not panel.widget.panel.presets.actions["deletePresetAction"].enabled


def test_one_choice_sets_everything_but_the_device(panel, chosen):
    chosen.device, chosen.smoothness, chosen.budget = "cpu", 2.0, 30.0
    choose(panel, "one-patient-contrasts")
    assert (chosen.model, chosen.affine, chosen.similarity) == ("optimise", "rigid", "mind")
    assert (chosen.device, chosen.smoothness, chosen.budget) == ("cpu", 0.5, 600.0)
    assert panel.ui.similarityComboBox.currentData == "mind"
    choose(panel, "one-patient-rigid")
    assert panel.ui.taskComboBox.currentData == "rigid"
    assert shown(panel) == "one-patient-rigid"


def test_a_changed_setting_is_no_preset_until_it_is_changed_back(panel):
    choose(panel, "same-contrast")
    panel.ui.smoothnessSlider.value = 1.0
    assert (shown(panel), panel.ui.presetComboBox.currentText) == ("", "Own settings")
    choose(panel, "")
    assert shown(panel) == ""
    panel.ui.smoothnessSlider.value = 0.5
    assert shown(panel) == "same-contrast"
    assert panel.ui.presetComboBox.findData("") == -1


def test_an_own_preset_is_saved_chosen_again_and_deleted(panel, chosen, cache, dialogs):
    chosen.smoothness = 1.25
    dialogs.answer("My knees")
    panel.trigger("presetMenuButton", "savePresetAction")
    assert panel.ui.presetComboBox.currentText == "My knees"
    assert panel.ui.statusLabel.text == "My knees was saved"
    kept = json.loads((cache / "presets" / "my-knees.json").read_text(encoding="utf-8"))
    assert kept["options"] == {"smoothness": 1.25}
    choose(panel, GENERAL)
    choose(panel, "my-knees")
    assert chosen.smoothness == 1.25
    dialogs.answer(False, True)
    panel.trigger("presetMenuButton", "deletePresetAction")
    assert shown(panel) == "my-knees"
    panel.trigger("presetMenuButton", "deletePresetAction")
    assert shown(panel) == ""
    assert chosen.smoothness == 1.25


def test_a_title_that_is_taken_is_refused_and_nothing_is_lost(panel, chosen, cache, dialogs):
    chosen.smoothness = 1.25
    dialogs.answer("Same contrast")
    panel.trigger("presetMenuButton", "savePresetAction")
    assert "is the name of a preset of the extension" in panel.ui.statusLabel.text
    assert not (cache / "presets").exists()
    assert chosen.smoothness == 1.25


def test_a_shared_preset_is_imported_and_taken(panel, chosen, tmp_path, dialogs):
    path = tmp_path / "colleague.json"
    path.write_text(json.dumps({"title": "Rabbits", "options": {"similarity": "mse"}}), encoding="utf-8")
    dialogs.answer(str(path))
    panel.trigger("presetMenuButton", "importPresetAction")
    assert (shown(panel), chosen.similarity) == ("colleague", "mse")
    path.write_text("nonsense", encoding="utf-8")
    dialogs.answer(str(path))
    panel.trigger("presetMenuButton", "importPresetAction")
    assert "cannot be read as JSON" in panel.ui.statusLabel.text
    assert shown(panel) == "colleague"


def test_the_folder_of_presets_is_shown(panel, cache, dialogs):
    panel.trigger("presetMenuButton", "openPresetFolderAction")
    assert dialogs.opened == [f"file://{cache / 'presets'}"]
