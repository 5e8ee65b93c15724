"""The template explorer by clicks: sliders, playing, keeping, and a patient registered with the template of its age."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.hippocampi import file_of, read_case, validation_pairs
from support.mrml_nodes import add_volume
from support.panel_runs import is_idle
from support.segmentations import add_segmentation
from support.template_models import AGE, SHAPE, write_conditional_model, write_template_model
from support.template_worker import TemplateWorker, choose_template_model, list_model, settle
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.registration.template import make_template
from VoxelMorphLib.registration.template_request import TemplateRequest
from VoxelMorphLib.training.export import export
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.training.trainer import train


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of models with a template, and with one that depends on age and sex."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VXM_CACHE", str(folder / "cache"))
        for name, write in (("one", write_template_model), ("many", write_conditional_model)):
            write(folder / f"{name}.safetensors")
            list_model(folder / f"{name}.safetensors", name)
    return folder / "cache"


@pytest.fixture
def panel(models, monkeypatch, a_module_widget):
    monkeypatch.setenv("VXM_CACHE", str(models))
    panel = a_module_widget()
    panel.ui.templateSection.collapsed = False
    return panel


@pytest.fixture
def worker(panel):
    worker = TemplateWorker()
    panel.widget.panel.runner.makeWorker = lambda: worker
    return worker


def parameters(panel):
    return panel.widget.panel.parameters


def shown(panel) -> np.ndarray:
    return slicer.util.arrayFromVolume(parameters(panel).templateVolume).transpose(2, 1, 0)


def expected(models, **attributes) -> np.ndarray:
    return make_template(TemplateRequest(models.parent / "many.safetensors", attributes)).array


def test_choosing_a_model_shows_the_template_of_its_mean_subject(panel, models, worker, scene):
    assert panel.ui.templateModelComboBox.itemData(0) == ""
    assert not panel.ui.templateAttributesBox.visible
    choose_template_model(panel, "many")
    np.testing.assert_allclose(shown(panel), expected(models), atol=1e-6)
    slider = panel.ui.templateAttribute0Slider
    assert (slider.minimum, slider.maximum, slider.value, slider.suffix) == (20, 90, 55, " years")
    assert slider.toolTip == "Trained with values from 20 to 90 years"
    assert panel.ui.templateStatusLabel.text == "Template, age 55 years, sex 0.5"
    layers = scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert layers is None or layers.GetBackgroundVolumeID() == parameters(panel).templateVolume.GetID()


def test_the_volume_follows_the_slider(panel, models, worker):
    choose_template_model(panel, "many")
    node = parameters(panel).templateVolume
    window = node.GetDisplayNode().GetWindow()
    panel.ui.templateAttribute0Slider.value = 80
    settle(panel)
    assert parameters(panel).templateVolume is node
    assert node.GetDisplayNode().GetWindow() == window
    np.testing.assert_allclose(shown(panel), expected(models, age=80), atol=1e-6)
    assert json.loads(parameters(panel).templateValues) == {"age": 80, "sex": 0.5}


def test_only_the_latest_position_is_made(panel, models, worker):
    choose_template_model(panel, "many")
    worker.waits = True
    before = len(worker.jobs)
    for value in (30, 40):
        panel.ui.templateAttribute0Slider.value = value
    panel.wait(lambda: len(worker.jobs) == before + 1)
    for value in (50, 60, 70):
        panel.ui.templateAttribute0Slider.value = value
    panel.wait(lambda: panel.widget.panel.templates._isLate)
    worker.waits = False
    worker.finish()
    settle(panel)
    assert [job.attributes["age"] for job in worker.jobs[before:]] == [40, 70]
    np.testing.assert_allclose(shown(panel), expected(models, age=70), atol=1e-6)


def test_the_values_come_back_with_the_scene(panel, worker):
    choose_template_model(panel, "many")
    parameters(panel).templateValues = json.dumps({"age": 33, "weight": 1})
    assert panel.ui.templateAttribute0Slider.value == 33
    parameters(panel).templateValues = "nonsense"
    assert panel.ui.templateAttribute0Slider.value == AGE.mean
    assert len(worker.jobs) == 1


def test_a_model_without_attributes_has_no_slider(panel, worker):
    choose_template_model(panel, "one")
    assert not panel.ui.templateAttributesBox.visible
    assert not panel.ui.templatePlayButton.visible
    assert shown(panel).shape == SHAPE
    choose_template_model(panel, "many")
    assert panel.ui.templateAttributesBox.visible or panel.ui.templateAttribute0Slider.maximum == 90


def test_playing_goes_through_the_range_and_back(panel, worker, monkeypatch):
    choose_template_model(panel, "many")
    panel.widget.panel.templates._player.setInterval(5)
    panel.ui.templateAttribute0Slider.value = 83
    settle(panel)
    before = len(worker.jobs)
    panel.ui.templatePlayButton.checked = True
    panel.wait(lambda: len(worker.jobs) >= before + 4)
    panel.ui.templatePlayButton.checked = False
    settle(panel)
    ages = [job.attributes["age"] for job in worker.jobs[before : before + 4]]
    np.testing.assert_allclose(ages, [86.5, 90, 86.5, 83.5], atol=0.51)  # whole years


def test_a_kept_template_stays(panel, worker):
    choose_template_model(panel, "many")
    before = shown(panel).copy()
    panel.click("templateKeepButton")
    (kept,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node is not parameters(panel).templateVolume
    ]
    panel.ui.templateAttribute0Slider.value = 25
    settle(panel)
    assert (slicer.util.arrayFromVolume(kept).transpose(2, 1, 0) == before).all()
    assert panel.ui.templateStatusLabel.text == "Template, age 25 years, sex 0.5"
    assert not (shown(panel) == before).all()


@pytest.fixture
def patient(panel, worker):
    """With the template of a subject of 70 years shown, and a patient chosen."""
    choose_template_model(panel, "many")
    panel.ui.templateAttribute0Slider.value = 70
    settle(panel)
    patient = add_volume(a_blob_image(a_geometry("LPS", (8, 12, 8))), "patient")
    panel.choose(templatePatientSelector=patient)
    return patient


def test_a_patient_is_registered_with_the_template_of_its_age(panel, worker, patient):
    panel.click("registerTemplateButton")
    panel.wait(lambda: is_idle(panel))
    fixed = parameters(panel).fixedVolume
    assert fixed.GetName().startswith("Template, age 70 years")
    assert fixed is not parameters(panel).templateVolume
    assert parameters(panel).movingVolume is patient
    assert (worker.jobs[-1].fixed.array == shown(panel)).all()
    assert parameters(panel).forwardTransform is not None


def test_a_patient_is_segmented_by_the_labels_of_the_template(panel, worker, patient):
    template = parameters(panel).templateVolume
    labels = a_label_map(a_geometry("RAS", SHAPE))
    segments = [("2", "outer", 0, 2)]
    node = add_segmentation("parts", [type(labels)(labels.array, known_grid(template))], segments)
    assert panel.ui.segmentTemplateButton.toolTip == "Choose a segmentation or label map of the template."
    panel.choose(templateLabelsSelector=node)
    panel.click("segmentTemplateButton")
    panel.wait(lambda: is_idle(panel))
    moved = slicer.util.getNode("patient by the template")
    assert moved.GetSegmentation().GetSegment("2").GetName() == "outer"
    assert "patient by the template" in panel.ui.statusLabel.text


def known_grid(volume):
    from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry

    return volume_geometry(volume)


def test_the_buttons_say_what_is_missing(panel, worker):
    assert panel.ui.templateKeepButton.toolTip == "Choose a model that makes a template."
    choose_template_model(panel, "many")
    assert panel.ui.templateKeepButton.enabled
    assert panel.ui.registerTemplateButton.toolTip == "Choose the volume of a patient."
    panel.choose(templatePatientSelector=parameters(panel).templateVolume)
    assert panel.ui.registerTemplateButton.toolTip == "Choose another volume than the template as patient."


def test_a_failure_is_one_sentence_and_leaves_the_template(panel, worker):
    choose_template_model(panel, "many")
    before = shown(panel).copy()
    worker.waits = True
    panel.ui.templateAttribute0Slider.value = 30
    panel.wait(lambda: len(worker.jobs) == 2)
    worker.fail(ConfigError("The file is gone. Choose another model."))
    settle(panel)
    assert panel.ui.templateStatusLabel.text == "The file is gone. Choose another model."
    assert (shown(panel) == before).all()


def test_the_age_of_a_patient_moves_the_slider(panel, worker, hierarchy):
    choose_template_model(panel, "many")
    volume = add_volume(a_blob_image(a_geometry("LPS", (8, 12, 8))), "patient")
    item = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "P")
    study = hierarchy.CreateStudyItem(item, "S")
    hierarchy.SetItemAttribute(item, "DICOM.PatientBirthDate", "19500110")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", "20230710")
    hierarchy.CreateItem(study, volume)
    panel.choose(templatePatientSelector=volume)
    settle(panel)
    assert worker.jobs[-1].attributes["age"] == pytest.approx(73.5, abs=0.6)  # whole years
    before = len(worker.jobs)
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", "unknown")
    panel.choose(templatePatientSelector=None)
    panel.choose(templatePatientSelector=volume)
    settle(panel)
    assert len(worker.jobs) == before


def test_a_model_that_is_gone_is_said(panel, worker):
    parameters(panel).templateModel = "gone"
    assert panel.ui.templateStatusLabel.text == "gone, chosen in this scene, does not exist here"
    assert panel.ui.templateModelComboBox.currentData == ""


@pytest.fixture(scope="module")
def hippocampi(tmp_path_factory):
    """A model trained on some hippocampi by their volume, in the list of models; and the volumes, mm3."""
    cases = [case for pair in validation_pairs(4) for case in pair]
    folder = tmp_path_factory.mktemp("hippocampi")
    volumes = {case: int((read_case(case)[1].array > 0).sum()) for case in dict.fromkeys(cases)}
    (folder / "images.txt").write_text("".join(f"{file_of('images', case)}\n" for case in volumes), encoding="utf-8")
    rows = "".join(f"hippocampus_{case}.nii.gz,{volume}\n" for case, volume in volumes.items())
    (folder / "volumes.csv").write_text(f"image,volume [mm3]\n{rows}", encoding="utf-8")
    lists = {"image_list": str(folder / "images.txt"), "attributes": str(folder / "volumes.csv")}
    network = {"encoder": (4, 8), "decoder": (8, 8, 4), "int_steps": 2, "generator_features": 2, "image_loss": "mse"}
    space = {"shape": (24, 32, 24), "voxel_size": 2.0, "output_dir": str(folder / "out")}
    steps = {"epochs": 1, "steps_per_epoch": 12, "lr": 1e-2, "device": "cpu", "pictures": 0}
    result = train(make_config("conditional-template", {**lists, **network, **space, **steps}))
    export(result.last, folder / "volumes.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VXM_CACHE", str(folder / "cache"))
        list_model(folder / "volumes.safetensors", "volumes", "Hippocampus by volume")
    return folder / "cache", volumes


@pytest.mark.slow
def test_a_trained_template_follows_the_volume_of_the_hippocampus(hippocampi, monkeypatch, a_module_widget):
    cache, volumes = hippocampi
    monkeypatch.setenv("VXM_CACHE", str(cache))
    panel = a_module_widget()
    panel.widget.panel.runner.makeWorker = TemplateWorker
    choose_template_model(panel, "volumes")
    slider, templates = panel.ui.templateAttribute0Slider, {}
    assert (slider.minimum, slider.maximum) == (min(volumes.values()), max(volumes.values()))
    assert slider.suffix == " mm3"
    for value in (slider.minimum, slider.maximum):
        slider.value = value
        settle(panel)
        templates[value] = shown(panel).copy()
    small, large = templates.values()
    assert small.shape == (24, 32, 24)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.9
    assert np.abs(small - large).max() > 0.01
