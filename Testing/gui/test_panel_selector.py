"""Configurations by clicks in the selector at the top: created, renamed, deleted."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer

SELECTOR = "parameterNodeSelector"
TRANSFORMS = ("vtkMRMLTransformNode", "vtkMRMLGridTransformNode", "vtkMRMLLinearTransformNode")


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


def shown(panel):
    """The node of the configuration that the panel shows."""
    return panel.widget.panel.parameters.parameterNode


def names(panel) -> list[str]:
    selector = panel.ui.parameterNodeSelector
    return [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]


def test_a_new_configuration_is_shown_with_the_defaults(panel):
    first = shown(panel)
    panel.ui.smoothnessSlider.value = 2.0
    second = panel.pick(SELECTOR, "Create new")
    assert second.GetAttribute("ModuleName") == "VoxelMorphSlicer"
    assert shown(panel) is panel.ui.parameterNodeSelector.currentNode() is second
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.5)
    assert len(set(names(panel))) == 2
    panel.choose(parameterNodeSelector=first)
    assert panel.ui.smoothnessSlider.value == pytest.approx(2.0)


def test_a_configuration_is_renamed(panel, dialogs):
    dialogs.answer("of patient 7")
    panel.pick(SELECTOR, "Rename current")
    assert shown(panel).GetName() == "of patient 7"
    assert names(panel) == ["of patient 7"]


def test_a_deleted_configuration_gives_way_to_another(panel):
    first, second = shown(panel), panel.pick(SELECTOR, "Create new")
    panel.pick(SELECTOR, "Delete current")
    assert shown(panel) is panel.ui.parameterNodeSelector.currentNode() is first
    assert not slicer.mrmlScene.IsNodePresent(second)


def test_the_last_configuration_that_is_deleted_gives_way_to_a_new_one(panel):
    panel.ui.smoothnessSlider.value = 2.0
    panel.pick(SELECTOR, "Delete current")
    assert names(panel) == [shown(panel).GetName()]
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.5)


def test_nodes_of_other_modules_are_not_listed(panel, scene):
    other = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "other")
    other.SetAttribute("ModuleName", "Elastix")
    scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "of nobody")
    assert names(panel) == [shown(panel).GetName()]


@pytest.mark.parametrize("node_class", TRANSFORMS)
@pytest.mark.parametrize(
    "selector",
    ["initialTransformSelector", "forwardTransformSelector", "inverseTransformSelector", "appliedTransformSelector"],
)
def test_selectors_of_transforms_list_every_class(panel, scene, selector, node_class):
    panel.choose(**{selector: scene.AddNewNodeByClass(node_class, "a transform")})


def test_a_created_transform_is_a_general_one(panel):
    assert panel.pick("forwardTransformSelector", "Create new").GetClassName() == "vtkMRMLTransformNode"
    with pytest.raises(AssertionError, match="has no 'Create new'"):
        panel.pick("initialTransformSelector", "Create new")
