"""An option that is described in the dataclass alone has a widget in the panel and is kept with the scene."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.options import option, options_of


@dataclass(frozen=True)
class MoreOptions(RegistrationOptions):
    """Options as a later version may have them, of every kind."""

    trial: str = option(
        "none",
        "fit the result of the network to the pair",
        choices={"none": "Not at all", "fast": "Fast", "full": "Full"},
    )
    attempts: int = option(2, "how often it is tried", low=1, high=9)
    threshold: float = option(0.25, "what counts as the same", low=0, high=4, step=0.25, unit="mm")
    mirrored: bool = option(False, "flip the moving volume", title="Mirror")
    note: str = option("", "for the report")
    secret: int = option(0, "not for the panel", in_panel=False)


NEW = ("trial", "attempts", "threshold", "mirrored", "note")
WIDGETS = {
    "trial": "trialComboBox",
    "attempts": "attemptsSpinBox",
    "threshold": "thresholdSlider",
    "mirrored": "mirroredCheckBox",
    "note": "noteEdit",
}


@pytest.fixture
def form(sequences, a_module_widget):
    """The panel with the rows of the new options, a parameter node that keeps them, and what was chosen by hand."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper
    from VoxelMorphLib.bridge.panel.parameters import parameters_of
    from VoxelMorphLib.bridge.panel.settings_form import SettingsForm

    panel = a_module_widget()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "more")
    parameters = parameterNodeWrapper(type("MoreParameters", (parameters_of(MoreOptions),), {}))(node)
    rows = panel.ui.settingsSection.layout().rowCount()
    form = SettingsForm(panel.ui, lambda name, value: setattr(parameters, name, value), MoreOptions)
    bound = {name: getattr(panel.ui, widget) for name, widget in WIDGETS.items() if name != "trial"}
    tag = parameters.connectParametersToGui(bound)
    yield SimpleNamespace(ui=panel.ui, form=form, parameters=parameters, node=node, rows=rows)
    parameters.disconnectGui(tag)


def test_every_new_option_gets_a_row_and_old_ones_keep_theirs(form):
    assert form.ui.settingsSection.layout().rowCount() == form.rows + len(NEW)
    assert list(form.form.boxes) == ["trial"]
    assert not hasattr(form.ui, "secretSpinBox")


@pytest.mark.parametrize("name", NEW)
def test_a_row_has_the_title_the_help_and_the_default(form, name):
    described, widget = options_of(MoreOptions)[name], getattr(form.ui, WIDGETS[name])
    assert widget.toolTip == described.sentence
    title = widget.text if name == "mirrored" else getattr(form.ui, f"{name}Label").text
    assert title.rstrip(":") == described.title
    assert getattr(form.parameters, name) == described.default


def test_a_choice_has_the_texts_for_people(form):
    box = form.ui.trialComboBox
    assert [(box.itemData(index), box.itemText(index)) for index in range(box.count)] == [
        ("none", "Not at all"),
        ("fast", "Fast"),
        ("full", "Full"),
    ]


def test_numbers_have_the_limits_of_their_options(form):
    assert (form.ui.attemptsSpinBox.minimum, form.ui.attemptsSpinBox.maximum) == (1, 9)
    slider = form.ui.thresholdSlider
    assert (slider.minimum, slider.maximum, slider.singleStep, slider.decimals) == (0, 4, 0.25, 1)
    assert slider.suffix == " mm"


def test_what_a_person_chooses_reaches_the_scene_and_the_library(form):
    from VoxelMorphLib.bridge.panel.parameters import chosen_options

    form.ui.trialComboBox.setCurrentIndex(form.ui.trialComboBox.findData("fast"))
    form.ui.trialComboBox.activated.emit(1)
    form.ui.attemptsSpinBox.value = 7
    form.ui.thresholdSlider.value = 1.5
    form.ui.mirroredCheckBox.click()
    form.ui.noteEdit.text = "kept"
    assert form.node.GetParameter("trial") == "fast"
    assert chosen_options(form.parameters, MoreOptions) == MoreOptions(
        trial="fast", attempts=7, threshold=1.5, mirrored=True, note="kept"
    )


def test_an_option_can_be_switched_off(form):
    form.form.enable("threshold", False)
    assert not form.ui.thresholdSlider.enabled and not form.ui.thresholdLabel.enabled


def test_every_option_of_the_panel_is_explained(form):
    from VoxelMorphLib.bridge.panel.parameters import panel_options

    endings = ("ComboBox", "Slider", "SpinBox", "CheckBox", "Edit")
    for described in panel_options():
        widgets = [getattr(form.ui, described.name + end, None) for end in endings]
        assert [widget.toolTip != "" for widget in widgets if widget is not None] == [True]
