"""Options of networks are offered where they mean something to the model."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")


def parameters(panel):
    """The configuration that the panel shows."""
    return panel.widget.panel.parameters


@pytest.fixture
def panel(sequences, a_module_widget):
    return a_module_widget()


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("optimise", (False, False)),
        ("hippocampus-T1", (True, False)),
        ("synthmorph-rigid-1", (True, True)),
        ("synthmorph-joint-3", (True, True)),
    ],
)
def test_options_of_networks_are_offered_where_they_mean_something(panel, model, shown):
    parameters(panel).model = model
    ui = panel.ui
    widgets = (ui.midSpaceCheckBox, ui.integrationStepsSpinBox), (ui.extentComboBox, ui.extentLabel)
    assert tuple({widget.enabled for widget in group} for group in widgets) == tuple({one} for one in shown)
    if shown[0]:
        ui.midSpaceCheckBox.click()
        ui.integrationStepsSpinBox.value = 9
        assert parameters(panel).midSpace and parameters(panel).integrationSteps == 9
