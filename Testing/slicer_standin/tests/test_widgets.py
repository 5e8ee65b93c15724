"""Stand-ins of widgets behave as the widgets of CTK and Slicer do, as far as module code can tell."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer


def add_volumes(*names: str) -> list:
    return [slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.float32), name=name) for name in names]


@pytest.fixture
def selector(scene):
    """A node selector of volumes over the scene."""
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(scene)
    yield box
    box.delete()


@pytest.fixture
def heard(selector):
    """The nodes that the selector announced."""
    nodes = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", nodes.append)
    return nodes


def test_a_new_node_is_listed_but_not_chosen(selector, heard):
    node = add_volumes("a")[0]
    assert (selector.nodeCount(), selector.nodeFromIndex(0)) == (1, node)
    assert selector.currentNode() is None
    assert heard == []


def test_a_chosen_node_is_announced_once(selector, heard):
    node = add_volumes("a")[0]
    for _twice in range(2):
        selector.setCurrentNode(node)
    assert heard == [node]
    assert selector.currentNodeID == node.GetID()


def test_announcements_tell_whether_there_is_a_node(selector):
    heard = []
    selector.connect("currentNodeChanged(bool)", heard.append)
    selector.setCurrentNode(add_volumes("a")[0])
    selector.setCurrentNode(None)
    assert heard == [True, False]


def test_a_deleted_node_is_no_longer_chosen(selector, heard, scene):
    node = add_volumes("a")[0]
    selector.setCurrentNode(node)
    scene.RemoveNode(node)
    assert selector.currentNode() is None
    assert heard == [node, None]


def test_only_nodes_of_the_asked_classes_are_listed(selector, scene):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    hidden = add_volumes("hidden")[0]
    hidden.SetHideFromEditors(1)
    scene.AddNewNodeByClass("vtkMRMLModelNode")
    assert selector.nodeCount() == 1
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0
    selector.showHidden = True
    assert selector.nodeFromIndex(0) is hidden


def test_hidden_child_classes_are_not_listed(selector, scene):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert selector.nodeCount() == 0


def test_nodes_are_listed_by_attribute(selector):
    one, _other = add_volumes("one", "other")
    one.SetAttribute("ModuleName", "Demo")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "ModuleName", "Demo")
    assert (selector.nodeCount(), selector.nodeFromIndex(0)) == (1, one)
    selector.removeAttribute("vtkMRMLScalarVolumeNode", "ModuleName")
    assert selector.nodeCount() == 2


def test_a_node_is_created_in_place(selector, heard):
    added = []
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
    selector.baseName = "Moved"
    node = selector.addNode()
    assert node.GetName().startswith("Moved")
    assert selector.currentNode() is node
    assert heard == added == [node]
    selector.removeCurrentNode()
    assert selector.nodeCount() == 0


def test_a_selector_without_scene_is_disabled_and_remembers_what_was_asked(scene):
    node = add_volumes("a")[0]
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setCurrentNodeID(node.GetID())
    assert not box.enabled
    assert box.currentNode() is None
    box.setMRMLScene(scene)
    assert box.enabled
    assert box.currentNode() is node
    box.delete()


def test_a_deleted_selector_ignores_the_scene(scene):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(scene)
    box.delete()
    add_volumes("a")


@pytest.fixture
def section(scene):
    """A collapsible section with a label that is shown and one that is not."""
    import ctk
    import qt

    button = ctk.ctkCollapsibleButton("Inputs")
    qt.QVBoxLayout(button)
    for name, visible in (("shown", True), ("hidden", False)):
        label = qt.QLabel(name)
        label.name = name
        button.layout().addWidget(label)
        label.visible = visible
    return button


def test_a_collapsed_section_hides_what_is_in_it(section):
    heard = []
    section.connect("contentsCollapsed(bool)", heard.append)
    section.collapsed = True
    assert not section.shown.isVisibleTo(section)
    section.collapsed = False
    assert section.shown.isVisibleTo(section)
    assert not section.hidden.isVisibleTo(section)
    assert heard == [True, False]


def test_a_click_collapses_a_section(section):
    section.click()
    assert section.collapsed
    assert not section.checked
    assert section.maximumHeight < 30


@pytest.fixture
def slider(scene):
    import ctk

    return ctk.ctkSliderWidget()


def test_a_slider_keeps_its_value_within_limits_and_decimals(slider):
    heard = []
    slider.connect("valueChanged(double)", heard.append)
    slider.minimum, slider.maximum, slider.singleStep, slider.decimals = -1, 2.5, 0.25, 1
    for value in (9, -3, 0.44):
        slider.value = value
    assert heard == [2.5, -1, 0.4]
    slider.setValue(1)
    slider.reset()
    assert slider.value == -1


def test_the_handle_of_a_slider_moves_by_steps(slider):
    import qt

    slider.maximum, slider.singleStep = 2, 0.5
    handle = slider.findChild(qt.QSlider)
    handle.setValue(3)
    assert slider.value == 1.5


def test_a_table_shows_its_node(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode")
    view = slicer.qMRMLTableView()
    view.setMRMLScene(scene)
    view.setMRMLTableNode(node)
    for name, text in (("Measure", "Dice"), ("Value", "0.91")):
        node.AddColumn().SetName(name)
        if not node.GetNumberOfRows():
            node.AddEmptyRow()
        node.SetCellText(0, node.GetNumberOfColumns() - 1, text)
    model = view.model()
    assert [model.index(0, column).data() for column in range(2)] == ["Dice", "0.91"]
    assert model.columnCount() == 2
    view.setMRMLScene(None)
    assert view.mrmlTableNode() is None
    view.delete()


def test_a_widget_hands_its_scene_on(scene):
    widget, heard = slicer.qMRMLWidget(), []
    widget.connect("mrmlSceneChanged(vtkMRMLScene*)", heard.append)
    for _twice in range(2):
        widget.setMRMLScene(scene)
    assert heard == [scene]
    assert widget.mrmlScene() is scene


def test_a_widget_without_stand_in_can_be_asked_for_but_not_made(scene):
    import ctk

    assert not isinstance(slicer.qMRMLWidget(), ctk.ctkRangeWidget)
    with pytest.raises(TypeError, match="no stand-in for ctkRangeWidget"):
        ctk.ctkRangeWidget()
