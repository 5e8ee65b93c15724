"""The stand-in of the node selector lists and creates what qMRMLNodeComboBox would."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer


@pytest.fixture
def selector(scene):
    """A node selector of transforms over the scene."""
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLTransformNode"]
    box.setMRMLScene(scene)
    yield box
    box.delete()


@pytest.fixture
def grid(scene):
    return scene.AddNewNodeByClass("vtkMRMLGridTransformNode")


def test_children_are_listed_only_where_they_are_asked_for(selector, grid):
    assert selector.nodeFromIndex(0) is grid
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0


def test_children_of_a_hidden_class_are_hidden_too(selector, grid):
    selector.nodeTypes = ["vtkMRMLTransformableNode"]
    selector.hideChildNodeTypes = ["vtkMRMLTransformNode"]
    assert selector.nodeCount() == 0


def test_a_selector_without_node_types_lists_everything_visible(selector, grid):
    selector.nodeTypes = []
    assert grid in [selector.nodeFromIndex(index) for index in range(selector.nodeCount())]


def test_attributes_belong_to_the_class_that_is_asked_for(selector, grid):
    selector.addAttribute("vtkMRMLTransformNode", "made-by", "us")
    assert selector.nodeCount() == 0
    grid.SetAttribute("made-by", "us")
    selector.removeAttribute("vtkMRMLTransformNode", "made-by")
    selector.addAttribute("vtkMRMLTransformNode", "made-by", "us")
    assert selector.nodeCount() == 1


def test_a_created_node_has_the_attributes_by_which_it_is_listed(selector):
    selector.addAttribute("vtkMRMLTransformNode", "made-by", "us")
    node = selector.addNode()
    assert node.GetAttribute("made-by") == "us"
    assert selector.currentNode() is node


def test_only_nodes_of_the_asked_classes_are_created(selector):
    assert selector.addNode("vtkMRMLModelNode") is None


def test_created_nodes_have_names_of_their_own(selector):
    selector.baseName = "forward"
    assert len({selector.addNode().GetName() for _twice in range(2)}) == 2


def test_a_rename_is_announced(selector, grid, dialogs):
    heard = []
    selector.connect("currentNodeRenamed(QString)", heard.append)
    selector.renameCurrentNode()
    selector.setCurrentNode(grid)
    dialogs.answer("", "another")
    selector.renameCurrentNode()
    selector.renameCurrentNode()
    assert grid.GetName() == "another"
    assert heard == ["another"]
