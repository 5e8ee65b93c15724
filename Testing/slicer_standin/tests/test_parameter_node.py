"""Typed parameters of a parameter node and the widgets that show them; the same with Slicer's own files (SLICER_PY)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

DEMO = Path(__file__).parent / "standin_demo" / "StandInDemo.py"


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget(DEMO)


@pytest.fixture
def module(panel):
    """StandInDemo.py as Python module."""
    import sys

    return sys.modules["StandInDemo"]


@pytest.fixture
def parameters(panel):
    return panel.widget.parameters


@pytest.fixture
def a_volume(scene):
    return slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.float32), name="fixed")


def test_unset_parameters_have_their_defaults(parameters, module):
    assert (parameters.strength, parameters.count, parameters.inverse) == (2.5, 3, False)
    assert (parameters.interpolation, parameters.comment) == ("nearest", "none")
    assert parameters.mode is module.Mode.EXACT
    assert (parameters.fixedVolume, parameters.anything, parameters.mask) == (None, None, None)
    assert parameters.default("strength").value == 2.5


def test_values_are_stored_as_text_in_the_node(parameters):
    parameters.strength, parameters.inverse = 4.25, True
    stored = [parameters.parameterNode.GetParameter(name) for name in ("strength", "inverse", "mode")]
    assert stored == ["4.25", "True", "EXACT"]


def test_nodes_are_stored_as_references(parameters, a_volume):
    parameters.fixedVolume = parameters.anything = a_volume
    assert parameters.parameterNode.GetNodeReference("fixedVolume") is a_volume
    assert parameters.parameterNode.GetNodeReference("anything.1") is a_volume
    parameters.anything = None
    assert parameters.anything is None


def test_a_node_that_is_deleted_is_forgotten(parameters, a_volume):
    parameters.fixedVolume = a_volume
    slicer.mrmlScene.RemoveNode(a_volume)
    assert parameters.fixedVolume is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("strength", 10.5, ValueError),
        ("strength", "4", TypeError),
        ("strength", None, ValueError),
        ("count", 0, ValueError),
        ("count", 1.5, TypeError),
        ("interpolation", "cubic", ValueError),
        ("mode", "EXACT", TypeError),
        ("comment", 5, TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused(parameters, name, value, error):
    before = getattr(parameters, name)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_a_node_of_another_class_is_refused(parameters, a_volume):
    for name in ("transform", "mask"):
        with pytest.raises(TypeError):
            setattr(parameters, name, a_volume)


def test_values_are_found_again_by_another_wrapper(parameters, module):
    parameters.comment = "kept"
    assert module.StandInDemoParameterNode(parameters.parameterNode).comment == "kept"


def test_several_parameter_nodes_are_independent(panel, module):
    panel.logic.isSingletonParameterNode = False
    nodes = [slicer.mrmlScene.AddNode(panel.logic.createParameterNode()) for _each in range(2)]
    one, other = (module.StandInDemoParameterNode(node) for node in nodes)
    one.comment = "one"
    assert other.comment == "none"
    assert set(nodes) <= set(panel.logic.getAllParameterNodes())
    assert len({node.GetName() for node in nodes}) == 2


def test_widgets_change_parameters(panel, parameters, a_volume, module):
    ui = panel.ui
    panel.choose(fixedSelector=a_volume, anythingSelector=a_volume)
    ui.strengthSlider.value, ui.countSpinBox.value, ui.inverseCheckBox.checked = 7.5, 12, True
    ui.interpolationComboBox.currentIndex, ui.modeComboBox.currentIndex = 0, 0
    ui.commentEdit.text = "typed"
    assert parameters.fixedVolume is parameters.anything is a_volume
    assert (parameters.strength, parameters.count, parameters.inverse) == (7.5, 12, True)
    assert (parameters.interpolation, parameters.mode) == ("linear", module.Mode.FAST)
    assert parameters.comment == "typed"


def test_parameters_change_widgets(panel, parameters, a_volume, module):
    parameters.fixedVolume, parameters.strength, parameters.count = a_volume, 1.5, 8
    parameters.inverse, parameters.interpolation, parameters.mode = True, "linear", module.Mode.FAST
    ui = panel.ui
    assert ui.fixedSelector.currentNode() is a_volume
    assert (ui.strengthSlider.value, ui.countSpinBox.value, ui.inverseCheckBox.checked) == (1.5, 8, True)
    assert (ui.interpolationComboBox.currentText, ui.modeComboBox.currentText) == ("linear", "Fast")


def test_limits_and_choices_come_from_the_parameters(panel):
    ui = panel.ui
    assert (ui.strengthSlider.minimum, ui.strengthSlider.maximum, ui.countSpinBox.minimum) == (0, 10, 1)
    assert [ui.modeComboBox.itemText(index) for index in range(ui.modeComboBox.count)] == ["Fast", "Exact"]
    assert ui.anythingSelector.nodeTypes == ("vtkMRMLModelNode", "vtkMRMLScalarVolumeNode")


def test_a_disconnected_widget_changes_nothing(panel, parameters):
    panel.widget.gui.close()
    panel.ui.strengthSlider.value = 9
    assert parameters.strength == 2.5
    parameters.count = 5
    assert panel.ui.countSpinBox.value == 3
    panel.widget.gui = type(panel.widget.gui)(parameters, panel.ui)
    assert panel.ui.countSpinBox.value == 5


def _label(name: str):
    import qt

    label = qt.QLabel()
    label.setProperty("SlicerParameterName", name)
    return label


def test_a_widget_of_an_unknown_parameter_is_refused(parameters):
    with pytest.raises(ValueError, match="Cannot find a param with the given name: speed"):
        parameters.connectGui(SimpleNamespace(speedLabel=_label("speed")))


def test_a_widget_that_cannot_show_a_parameter_is_refused(parameters):
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        parameters.connectGui(SimpleNamespace(countLabel=_label("count")))


def test_an_unbounded_slider_is_refused(parameters):
    import ctk

    with pytest.raises(RuntimeError, match="unbounded"):
        parameters.connectParametersToGui({"count": ctk.ctkSliderWidget()})


def test_a_combo_box_without_choices_is_refused(parameters):
    import qt

    with pytest.raises(RuntimeError, match="requires the Choice annotation"):
        parameters.connectParametersToGui({"comment": qt.QComboBox()})


def test_a_type_that_cannot_be_stored_is_refused(module):
    with pytest.raises(Exception, match="serializer"):

        @module.parameterNodeWrapper
        class _Parameters:
            size: complex


def test_a_reserved_name_is_refused(module):
    with pytest.raises(ValueError, match="reserved name 'default'"):

        @module.parameterNodeWrapper
        class _Parameters:
            default: int
