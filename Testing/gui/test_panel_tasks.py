"""What to do: rigid, affine or deformable is one choice, which scenes keep as the model and its start."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import ready, volumes

__all__ = ["ready", "volumes"]

#: Height of the panel on a laptop of 768 pixels, where the application's bars, title and help take the rest.
LAPTOP_PIXELS = 480


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


def activate(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def chosen(panel) -> tuple[str, str]:
    """Model and start of the configuration."""
    parameters = panel.widget.panel.parameters
    return parameters.model, parameters.affine


@pytest.mark.parametrize(
    ("task", "expected"),
    [("affine", ("linear", "affine")), ("rigid", ("linear", "rigid")), ("shift", ("linear", "centre"))],
)
def test_a_task_without_deformation_needs_no_model_of_its_own(panel, task, expected):
    activate(panel.ui.taskComboBox, task)
    assert chosen(panel) == expected
    assert panel.ui.taskComboBox.currentData == task
    assert not panel.ui.smoothnessSlider.isVisibleTo(panel.frame)
    activate(panel.ui.taskComboBox, "deformable")
    assert chosen(panel) == ("optimise", "auto")


def test_a_network_of_the_task_brings_its_own_start(panel):
    activate(panel.ui.taskComboBox, "rigid")
    activate(panel.ui.modelComboBox, "synthmorph-rigid-1")
    assert chosen(panel) == ("synthmorph-rigid-1", "auto")
    assert panel.ui.taskComboBox.currentData == "rigid"
    activate(panel.ui.modelComboBox, "linear")
    assert chosen(panel) == ("linear", "rigid")


@pytest.mark.parametrize(
    ("model", "start", "task"),
    [
        ("linear", "auto", "affine"),
        ("linear", "rigid", "rigid"),
        ("linear", "centre", "shift"),
        ("hippocampus-T1", "rigid", "deformable"),
        ("synthmorph-affine-2", "auto", "affine"),
    ],
)
def test_a_saved_configuration_shows_its_task(panel, model, start, task):
    parameters = panel.widget.panel.parameters
    parameters.affine, parameters.model = start, model
    assert panel.ui.taskComboBox.currentData == task
    assert panel.ui.modelComboBox.currentData == model
    assert chosen(panel) == (model, start)


def test_a_start_that_was_chosen_for_a_network_stays_with_the_next_one(panel):
    parameters = panel.widget.panel.parameters
    parameters.affine = "rigid"
    activate(panel.ui.modelComboBox, "hippocampus-T1")
    assert chosen(panel) == ("hippocampus-T1", "rigid")


@pytest.mark.parametrize(
    ("model", "refine", "shown"),
    [
        ("optimise", "auto", ("smoothness",)),
        ("hippocampus-T1", "auto", ()),
        ("hippocampus-T1", "balanced", ("smoothness",)),
        ("synthmorph-deform-3", "auto", ("hyper",)),
    ],
)
def test_the_regularity_that_counts_stands_beside_the_model(panel, model, refine, shown):
    parameters = panel.widget.panel.parameters
    parameters.model, parameters.refine = model, refine
    sliders = {name: getattr(panel.ui, f"{name}Slider") for name in ("smoothness", "hyper")}
    assert tuple(name for name, slider in sliders.items() if slider.isVisibleTo(panel.frame)) == shown
    assert panel.ui.budgetSlider.enabled == ("smoothness" in shown)


def test_everything_that_a_registration_needs_is_seen_on_a_laptop(ready, tmp_path):
    ready.picture(tmp_path / "panel.png", 430)
    names = ("fixedSelector", "movingSelector", "taskComboBox", "refineComboBox", "modelComboBox", "registerButton")
    places = [getattr(ready.ui, name).mapTo(ready.frame, getattr(ready.ui, name).rect.bottomLeft()) for name in names]
    heights = [place.y() for place in places]
    assert heights == sorted(heights)
    assert heights[-1] < LAPTOP_PIXELS
    assert ready.ui.advancedSection.collapsed and ready.ui.resultSection.collapsed
