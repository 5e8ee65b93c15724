"""The training section: what is chosen is what the command gets, and every end leaves the panel usable."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support import fake_trainer
from VoxelMorphLib.bridge.background import child_process as command
from VoxelMorphLib.core.devices import Device
from VoxelMorphLib.training.recipes import RECIPES, config_json, make_config


@pytest.fixture
def panel(a_module_widget, tmp_path, monkeypatch):
    """With the section open and nothing chosen."""
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    panel = a_module_widget()
    panel.ui.trainingSection.collapsed = False
    yield panel
    if panel.frame is not None and section(panel).working:
        section(panel)._task._running.kill()


@pytest.fixture
def ready(panel, tmp_path):
    """With images and an output folder chosen."""
    panel.ui.trainingImageListEdit.currentPath = str(tmp_path / "images")
    panel.ui.trainingOutputDirEdit.currentPath = str(tmp_path / "out")
    return panel


@pytest.fixture
def behave(ready):
    """Decides what the command does."""

    def choose(behaviour):
        ready.widget.panel.training.command = fake_trainer.command(behaviour)

    return choose


def section(panel):
    return panel.widget.panel.training


def is_idle(panel):
    return not section(panel).working


def pick(panel, widget, value):
    box = getattr(panel.ui, widget)
    assert box.findData(value) >= 0, value
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def kept(panel):
    return json.loads(panel.widget.panel.parameters.training)


def test_the_buttons_say_what_is_missing(panel, tmp_path):
    ui = panel.ui
    assert (ui.trainButton.enabled, ui.trainButton.toolTip) == (False, "Choose an output folder.")
    assert ui.checkTrainingButton.toolTip == "Choose the images to train on."
    ui.trainingOutputDirEdit.currentPath = str(tmp_path)
    assert (ui.trainButton.enabled, ui.trainButton.toolTip) == (False, "Choose the images to train on.")
    ui.trainingImageListEdit.currentPath = str(tmp_path)
    assert ui.trainButton.enabled and ui.checkTrainingButton.enabled
    assert not ui.resumeTrainingButton.enabled and not ui.addModelButton.enabled
    pick(panel, "trainingRecipeComboBox", "atlas")
    assert "needs an atlas" in ui.trainButton.toolTip
    fake_trainer.write_checkpoints(tmp_path)
    ui.trainingAtlasEdit.currentPath = str(tmp_path / "atlas.nii")
    assert "holds a training already" in ui.trainButton.toolTip
    assert ui.resumeTrainingButton.enabled and ui.addModelButton.enabled


def test_all_recipes_are_offered_with_what_they_do(panel):
    box = panel.ui.trainingRecipeComboBox
    assert [box.itemData(index) for index in range(box.count)] == list(RECIPES)
    for name, recipe in RECIPES.items():
        pick(panel, "trainingRecipeComboBox", name)
        assert panel.ui.trainingRecipeDescriptionLabel.text == recipe.description
        assert section(panel).config == make_config(name, {"output_dir": ""})
        assert panel.ui.trainingDiceWeightEdit.enabled == hasattr(recipe.config, "dice_weight")


def test_trainings_on_made_images_ask_for_label_maps_or_for_nothing(panel, tmp_path):
    ui = panel.ui
    ui.trainingOutputDirEdit.currentPath = str(tmp_path)
    pick(panel, "trainingRecipeComboBox", "synthmorph-labels")
    assert (ui.trainButton.enabled, ui.trainButton.toolTip) == (False, "Choose the label maps to make images of.")
    ui.trainingLabelListEdit.currentPath = "/data/labels"
    assert ui.trainButton.enabled
    ui.trainingImageListEdit.currentPath = "/data/scans"
    assert not ui.trainButton.enabled and "Leave image_list empty" in ui.trainButton.toolTip
    ui.trainingImageListEdit.currentPath = ""
    pick(panel, "trainingRecipeComboBox", "synthmorph-shapes")
    assert not ui.trainButton.enabled and "Leave label_list and merge_labels empty" in ui.trainButton.toolTip
    ui.trainingLabelListEdit.currentPath = ""
    assert ui.trainButton.enabled


def test_every_widget_changes_its_option(panel):
    ui = panel.ui
    pick(panel, "trainingRecipeComboBox", "semisupervised")
    pick(panel, "trainingImageLossComboBox", "ncc")
    pick(panel, "trainingNccFormComboBox", "signed")
    pick(panel, "trainingPrecisionComboBox", "bfloat16")
    for name in ("ImageList", "LabelList", "Atlas", "Attributes", "ValidationList", "ValidationLabelList", "OutputDir"):
        getattr(ui, f"training{name}Edit").currentPath = f"/data/{name}"
    for name, value in {"NccWindow": 5, "Epochs": 3, "Steps": 7, "Batch": 2, "Seed": 11}.items():
        getattr(ui, f"training{name}SpinBox").value = value
    for name, text in {
        "Smoothness": "0.5",
        "DiceWeight": "0.2",
        "Rate": "1e-3",
        "Shape": "16, 16,24",
        "VoxelSize": "2",
    }.items():
        getattr(ui, f"training{name}Edit").text = text
    chosen = {
        "recipe": "semisupervised",
        **{"image_list": "/data/ImageList", "label_list": "/data/LabelList", "atlas": "/data/Atlas"},
        **{"attributes": "/data/Attributes", "validation_list": "/data/ValidationList"},
        **{"validation_label_list": "/data/ValidationLabelList", "output_dir": "/data/OutputDir"},
        **{"image_loss": "ncc", "ncc_form": "signed", "ncc_window": 5, "precision": "bfloat16", "epochs": 3},
        **{"steps_per_epoch": 7, "batch_size": 2, "seed": 11, "smoothness": 0.5, "dice_weight": 0.2, "lr": 1e-3},
        **{"shape": [16, 16, 24], "voxel_size": 2.0},
    }
    assert kept(panel) == chosen
    assert json.loads(ui.trainingOptionsEdit.plainText).items() >= chosen.items()
    assert ui.trainingShapeEdit.text == "16, 16,24"


def test_the_text_reaches_every_option_and_the_widgets_follow(panel):
    ui = panel.ui
    config = make_config("hypermorph", {"sweep": 5, "encoder": (4, 8), "epochs": 9, "output_dir": "/data/out"})
    ui.trainingOptionsEdit.plainText = config_json(config)
    assert section(panel).config == config
    assert ui.trainingEpochsSpinBox.value == 9
    assert ui.trainingRecipeComboBox.currentData == "hypermorph"
    assert kept(panel) == {
        "recipe": "hypermorph",
        "sweep": 5,
        "encoder": [4, 8],
        "epochs": 9,
        "output_dir": "/data/out",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "The configuration under More options cannot be read"),
        ('{"epoch": 3}', "has no option epoch"),
        ('{"epochs": 0}', "epochs is 0; choose a number from 1"),
        ('{"epochs": "many"}', "epochs is 'many'; give a whole number."),
        ('{"recipe": "magic"}', "There is no recipe 'magic'"),
        ("[]", "must be one JSON object"),
    ],
)
def test_a_wrong_text_is_told_and_kept_until_it_is_right(ready, text, sentence):
    ui = ready.ui
    before, right = kept(ready), ui.trainingOptionsEdit.plainText
    ui.trainingOptionsEdit.plainText = text
    assert sentence in ui.trainingProblemLabel.text
    assert not ui.trainButton.enabled and ui.trainButton.toolTip == ui.trainingProblemLabel.text
    assert ui.trainingOptionsEdit.plainText == text and kept(ready) == before
    assert not ui.trainingEpochsSpinBox.enabled
    ui.trainingOptionsEdit.plainText = right
    assert ui.trainButton.enabled and ui.trainingEpochsSpinBox.enabled
    assert not ui.trainingProblemLabel.visible


def test_a_wrong_number_is_told_and_does_not_count(ready):
    ready.ui.trainingRateEdit.text = "fast"
    assert ready.ui.trainingProblemLabel.text == "lr: 'fast' is not a number."
    assert not ready.ui.trainButton.enabled and "lr" not in kept(ready)
    ready.ui.trainingRateEdit.text = "2e-4"
    assert ready.ui.trainButton.enabled and kept(ready)["lr"] == 2e-4


def test_folders_are_chosen_by_a_button(panel, dialogs):
    dialogs.answer("/data/scans")
    panel.click("trainingImageFolderButton")
    assert panel.ui.trainingImageListEdit.currentPath == "/data/scans"
    dialogs.answer("")
    panel.click("trainingImageFolderButton")
    assert kept(panel)["image_list"] == "/data/scans"


def test_the_options_are_saved_with_the_scene(ready, scene, tmp_path):
    ready.ui.trainingEpochsSpinBox.value = 33
    before = section(ready).config
    scene.SetURL(str(tmp_path / "scene.mrml"))
    scene.Commit()
    scene.Clear(0)
    assert ready.ui.trainingEpochsSpinBox.value != 33
    scene.Connect()
    assert section(ready).config == before
    assert ready.ui.trainingEpochsSpinBox.value == 33


def test_options_of_another_version_give_way_with_a_sentence(panel):
    panel.widget.panel.parameters.training = '{"recipe": "pairwise", "speed": 3}'
    assert "has no option speed" in panel.ui.trainingStatusLabel.text
    assert section(panel).config == make_config("pairwise", {"output_dir": ""})


def test_devices_that_were_found_are_offered_here_too(ready):
    ready.ui.trainingOptionsEdit.plainText = '{"device": "cuda:3"}'
    assert ready.ui.trainingDeviceComboBox.currentData == "cuda:3"
    ready.widget.panel.devices.setDevices([Device("cuda:0", "A card", 2**30), Device("cpu", "Processor")])
    ready.widget.panel._onDevicesFound()
    assert ready.ui.trainingDeviceComboBox.findData("cuda:0") >= 0
    assert ready.ui.trainingDeviceComboBox.currentData == kept(ready)["device"] == "cuda:3"


def test_check_shows_the_plan(ready, behave):
    behave("finish")
    assert not ready.ui.trainingPlanEdit.isVisibleTo(ready.frame)
    ready.click("checkTrainingButton")
    assert not ready.ui.trainButton.enabled and ready.ui.cancelTrainingButton.enabled
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.trainingPlanEdit.plainText == fake_trainer.PLAN
    assert ready.ui.trainingPlanEdit.isVisibleTo(ready.frame)
    assert ready.ui.trainButton.enabled


@pytest.mark.slow
def test_a_training_shows_progress_and_curves(ready, behave, scene, tmp_path):
    behave("run")
    ready.click("trainButton")
    ready.wait(lambda: "Dice" in ready.ui.trainingStatusLabel.text)
    assert ready.ui.trainingStatusLabel.text.startswith("Training: 25%, loss 0.55, Dice 0.650, back 0.600 (0:")
    assert ready.ui.trainingProgressBar.value == 250
    charts = scene.GetNodesByClass("vtkMRMLPlotChartNode")
    assert [charts.GetItemAsObject(index).GetName() for index in range(2)] == ["out loss", "out dice"]
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlotChartID() == charts.GetItemAsObject(0).GetID()
    pick(ready, "trainingCurvesComboBox", "dice")
    ready.click("showCurvesButton")
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlotChartID() == charts.GetItemAsObject(1).GetID()
    scene.RemoveNode(scene.GetFirstNodeByName("out loss table"))
    ready.click("showCurvesButton")
    assert charts.GetItemAsObject(0).GetNthPlotSeriesNode(0).GetTableNode().GetName() == "out loss table"
    assert not ready.ui.trainingEpochsSpinBox.enabled
    ready.click("cancelTrainingButton")
    assert ready.ui.trainingStatusLabel.text.startswith("Stopping after the current step (0:")
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.trainingStatusLabel.text == "Stopped after step 25 of 100. Resume the training to go on."
    assert ready.ui.resumeTrainingButton.enabled and ready.ui.trainingEpochsSpinBox.enabled


def test_a_training_that_does_not_listen_is_ended_by_a_second_click(ready, behave):
    behave("deaf")
    ready.click("trainButton")
    ready.wait(lambda: "25%" in ready.ui.trainingStatusLabel.text)
    ready.click("cancelTrainingButton")
    ready.click("cancelTrainingButton")
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.trainingStatusLabel.text.startswith("Ended at once.")


def test_resume_names_only_what_was_changed(ready, behave, tmp_path):
    fake_trainer.write_checkpoints(tmp_path / "out")
    ready.ui.trainingEpochsSpinBox.value = 40
    behave("words")
    begun = []
    start = ready.widget.panel.training._start

    def remember(text, begin, _done, curves=None, **arguments):
        start(text, begin, lambda lines: begun.extend(json.loads(lines[0])) or "", curves, **arguments)

    ready.widget.panel.training._start = remember
    ready.click("resumeTrainingButton")
    ready.wait(lambda: is_idle(ready))
    out, images = tmp_path / "out", tmp_path / "images"
    assert begun == [f"--imageList={images}", "--epochs=40", f"--outputDir={out}", "--resume"]


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [("refuse", "The list is empty. Give two images."), ("crash", "ended with a fault of the program")],
)
def test_an_error_is_one_sentence_and_the_panel_stays_usable(ready, behave, dialogs, behaviour, sentence):
    behave(behaviour)
    ready.click("trainButton")
    ready.wait(lambda: is_idle(ready))
    assert [item.kind for item in dialogs.asked] == ["errorDisplay"]
    assert sentence in dialogs.texts[0] and "\n" not in dialogs.texts[0]
    assert sentence in ready.ui.trainingStatusLabel.text
    assert ready.ui.trainButton.enabled


def test_a_command_that_does_not_start_is_told(ready, dialogs, tmp_path):
    section(ready).command = [str(tmp_path / "nothing")]
    ready.click("trainButton")
    assert is_idle(ready) and "could not be started" in dialogs.texts[0]


def test_missing_packages_are_asked_for_at_the_click(ready, behave, dialogs, monkeypatch, attended):
    monkeypatch.setattr("VoxelMorphLib.bridge.install.Installed.version", lambda _self, _name: None)
    behave("finish")
    dialogs.answer(False)
    ready.click("trainButton")
    assert "lightning_fabric 2.2 or newer to train networks" in dialogs.texts[0]
    assert "Nothing was installed." in dialogs.texts[1] and is_idle(ready)


def test_a_training_survives_its_scene(ready, behave, scene):
    behave("run")
    ready.click("trainButton")
    ready.wait(lambda: "25%" in ready.ui.trainingStatusLabel.text)
    scene.Clear(0)
    assert not is_idle(ready)
    ready.click("cancelTrainingButton")
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.trainingStatusLabel.text.startswith("Stopped after step 25")


def test_closing_the_panel_lets_the_training_save(ready, behave, tmp_path):
    behave("run")
    ready.click("trainButton")
    ready.wait(lambda: "25%" in ready.ui.trainingStatusLabel.text)
    process = section(ready)._task._running
    ready.close()
    assert process.stopping
    deadline = time.monotonic() + 20
    while not process.poll() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "out" / "checkpoints" / "last.pt").is_file()


def test_an_id_that_is_taken_is_asked_about(ready, behave, dialogs, tmp_path):
    from VoxelMorphLib.weights.entry import ModelEntry
    from VoxelMorphLib.weights.own_models import add_to_catalogue

    weights = tmp_path / "out.safetensors"
    weights.write_bytes(b"made up")
    add_to_catalogue(ModelEntry("out", "Out", "Mine.", "VxmDense", file=weights.name, format="safetensors"), weights)
    fake_trainer.write_checkpoints(tmp_path / "out")
    ready.ui.trainingEpochsSpinBox.value = 3
    dialogs.answer(False)
    ready.click("addModelButton")
    assert dialogs.texts == ["You already have a model out. Replace it?"] and is_idle(ready)
    ready.ui.trainingModelNameEdit.text = "optimise"
    ready.click("addModelButton")
    assert "The extension itself has a model 'optimise'" in dialogs.texts[-1]


def test_the_process_is_the_train_command():
    assert command.train_command()[-2:] == ["-m", "VoxelMorphLib.cli.train"]
