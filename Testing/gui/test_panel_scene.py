"""Configurations live in the scene: several of them, saved and loaded, from older versions, closed and reloaded."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.panel_runs import reloaded


@pytest.fixture
def two_volumes(scene):
    voxels = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    return [slicer.util.addVolumeFromArray(voxels, name=name) for name in ("fixed", "moving")]


def parameters(panel):
    return panel.widget.panel.parameters


def configurations(scene) -> list:
    nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
    return [node for node in nodes if node.GetAttribute("ModuleName") == "VoxelMorphSlicer"]


def test_opening_the_panel_makes_one_configuration(panel, scene):
    assert len(configurations(scene)) == 1
    panel.leave()
    panel.enter()
    assert len(configurations(scene)) == 1
    assert panel.ui.parameterNodeSelector.currentNode() is configurations(scene)[0]


def test_several_configurations_keep_their_own_values(panel, scene, two_volumes):
    first = panel.ui.parameterNodeSelector.currentNode()
    panel.choose(fixedSelector=two_volumes[0])
    panel.ui.smoothnessSlider.value = 0.9
    second = panel.logic.createParameterNode()
    scene.AddNode(second)
    panel.choose(parameterNodeSelector=second)
    assert panel.ui.fixedSelector.currentNode() is None
    assert panel.ui.smoothnessSlider.value == pytest.approx(parameters(panel).default("smoothness").value)
    panel.choose(fixedSelector=two_volumes[1])
    panel.choose(parameterNodeSelector=first)
    assert panel.ui.fixedSelector.currentNode() is two_volumes[0]
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.9)


def test_a_double_click_in_the_data_tree_opens_a_configuration(panel, scene):
    other = scene.AddNode(panel.logic.createParameterNode())
    assert panel.widget.nodeEditable(other) > 0.5
    assert panel.widget.nodeEditable(scene.AddNewNodeByClass("vtkMRMLModelNode")) == 0
    assert panel.widget.setEditedNode(other)
    assert parameters(panel).parameterNode is other
    assert panel.ui.parameterNodeSelector.currentNode() is other


def test_a_removed_configuration_gives_way_to_another(panel, scene):
    scene.RemoveNode(panel.ui.parameterNodeSelector.currentNode())
    panel.leave()
    panel.enter()
    assert len(configurations(scene)) == 1
    assert parameters(panel).parameterNode is configurations(scene)[0]
    assert not panel.ui.registerButton.enabled


def test_everything_comes_back_with_the_scene(panel, scene, two_volumes, tmp_path):
    panel.choose(fixedSelector=two_volumes[0], movingSelector=two_volumes[1])
    panel.ui.smoothnessSlider.value = 1.25
    panel.ui.hyperSlider.value = 0.15
    panel.ui.sequenceFrameSpinBox.value = 7
    panel.ui.showGridCheckBox.click()
    parameters(panel).affine = "rigid"
    reloaded(panel, scene, tmp_path)
    assert len(configurations(scene)) == 1
    assert panel.ui.fixedSelector.currentNode().GetName() == "fixed"
    assert panel.ui.movingSelector.currentNode().GetName() == "moving"
    assert panel.ui.smoothnessSlider.value == pytest.approx(1.25)
    assert panel.ui.hyperSlider.value == pytest.approx(0.15)
    assert panel.ui.sequenceFrameSpinBox.value == 7
    assert panel.ui.showGridCheckBox.checked
    assert panel.ui.affineComboBox.currentData == "rigid"


@pytest.mark.parametrize("is_touched", [False, True], ids=["untouched", "touched"])
def test_an_imported_configuration_takes_the_place_of_an_untouched_one_only(panel, scene, tmp_path, is_touched):
    panel.ui.smoothnessSlider.value = 1.25
    scene.SetURL(str(tmp_path / "scene.mrml"))
    scene.Commit()
    scene.Clear(0)
    here = parameters(panel).parameterNode
    if is_touched:
        panel.ui.trainingSection.collapsed = False
        panel.ui.trainingEpochsSpinBox.value = 7
    scene.Import()
    assert len(configurations(scene)) == (2 if is_touched else 1)
    assert (parameters(panel).parameterNode is here) == is_touched
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.5 if is_touched else 1.25)


def test_a_scene_of_an_older_version_gets_the_defaults(panel, scene):
    old = panel.logic.createParameterNode()
    old.SetParameter("smoothness", "0.8")
    old.SetParameter("removedLongAgo", "7")
    scene.AddNode(old)
    panel.choose(parameterNodeSelector=old)
    assert panel.ui.smoothnessSlider.value == pytest.approx(0.8)
    assert panel.ui.affineComboBox.currentData == "auto"
    assert panel.ui.modelComboBox.currentData == "optimise"
    assert parameters(panel).fade == 0.5


@pytest.mark.parametrize("name", ["fixedSegmentation", "movingSegmentation", "movedSegmentation"])
def test_the_segmentations_of_an_older_scene_are_found(panel, scene, name):
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old")
    old = scene.AddNode(panel.logic.createParameterNode())
    old.SetParameter(name, "")
    old.SetNodeReferenceID(name, segmentation.GetID())
    panel.choose(parameterNodeSelector=old)
    assert getattr(panel.ui, f"{name}Selector").currentNode() is segmentation
    assert getattr(parameters(panel), name) is segmentation


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("affine", "shear", "auto"),
        ("precision", "int8", "auto"),
        ("interpolation", "sinc", "linear"),
        ("model", "a-model-of-somebody-else", "optimise"),
        ("overlay", "stereo", "moved"),
    ],
)
def test_a_value_that_does_not_exist_here_falls_back_and_says_so(panel, name, value, default):
    setattr(parameters(panel), name, value)
    assert getattr(parameters(panel), name) == default
    assert getattr(panel.ui, f"{name}ComboBox").currentData == default
    assert panel.ui.statusLabel.text == f"{value}, chosen in this scene, does not exist here; {default} is used instead"


def test_closing_the_scene_empties_the_panel(panel, scene, two_volumes):
    panel.choose(fixedSelector=two_volumes[0], movingSelector=two_volumes[1])
    assert panel.ui.registerButton.enabled
    slicer.mrmlScene.Clear(0)
    assert panel.ui.fixedSelector.currentNode() is None
    assert not panel.ui.registerButton.enabled
    assert len(configurations(scene)) == 1


def test_closing_the_scene_elsewhere_makes_no_configuration(panel, scene):
    panel.leave()
    slicer.mrmlScene.Clear(0)
    assert configurations(scene) == []
    panel.enter()
    assert len(configurations(scene)) == 1


def test_reload_loads_the_library_again(the_library, panel, two_volumes):
    panel.choose(fixedSelector=two_volumes[0])
    panel.widget.onReload()
    assert sys.modules["VoxelMorphLib.core.errors"] is not the_library["VoxelMorphLib.core.errors"]
    panel.choose(movingSelector=two_volumes[1])
    assert panel.ui.registerButton.enabled


def test_two_panels_after_each_other_leave_no_observer(a_module_widget, scene):
    panel = a_module_widget()
    node = parameters(panel).parameterNode
    panel.widget.cleanup()
    assert panel.widget.panel.parameters is None
    node.SetParameter("smoothness", "1.5")
    assert panel.ui.smoothnessSlider.value != 1.5
