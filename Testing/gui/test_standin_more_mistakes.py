"""Mistakes with the subject hierarchy combo box, the table view and the path edit: the stand-in catches each."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

FOLDER = "appliedFolderComboBox"
TABLE = "resultsTableView"
PATH = "trainingImageListEdit"


@pytest.fixture
def ui(a_module_widget):
    """The widgets of the panel."""
    return a_module_widget().ui


def a_table():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "table")


MISTAKES = {
    "folder: property called": (FOLDER, lambda box: box.noneEnabled(), TypeError, "not callable"),
    "folder: method of the node selector": (FOLDER, lambda box: box.setCurrentNode(a_table()), AttributeError, "Node"),
    "folder: method without call": (FOLDER, lambda box: setattr(box, "currentItem", 0), AttributeError, "overwritten"),
    "folder: property of another widget": (FOLDER, lambda box: box.nodeTypes, AttributeError, "'nodeTypes'"),
    "folder: signal of the node selector": (
        FOLDER,
        lambda box: box.connect("currentNodeChanged(vtkMRMLNode*)", print),
        AttributeError,
        "does not exist on qMRMLSubjectHierarchyComboBox",
    ),
    "folder: signal with other types": (
        FOLDER,
        lambda box: box.connect("currentItemChanged(int)", print),
        AttributeError,
        "vtkIdType",
    ),
    "table: property that is none": (TABLE, lambda view: setattr(view, "tableNode", None), AttributeError, "tableNode"),
    "table: method of the model": (TABLE, lambda view: view.mrmlTableModel(), AttributeError, "'mrmlTableModel'"),
    "table: method called by a keyword": (
        TABLE,
        lambda view: view.setMRMLTableNode(node=a_table()),
        TypeError,
        "no keyword arguments",
    ),
    "table: method overwritten": (TABLE, lambda view: setattr(view, "mrmlTableNode", None), AttributeError, "overwrit"),
    "table: signal with other types": (
        TABLE,
        lambda view: view.connect("selectionChanged(int)", print),
        AttributeError,
        r"selectionChanged\(\)",
    ),
    "path: property called": (PATH, lambda edit: edit.currentPath(), TypeError, "not callable"),
    "path: property of a line edit": (PATH, lambda edit: setattr(edit, "text", "/data"), AttributeError, "text"),
    "path: signal of a line edit": (
        PATH,
        lambda edit: edit.connect("textChanged(QString)", print),
        AttributeError,
        "does not exist on ctkPathLineEdit",
    ),
    "path: signal with other types": (
        PATH,
        lambda edit: edit.connect("currentPathChanged(bool)", print),
        AttributeError,
        r"currentPathChanged\(QString\)",
    ),
    "path: filters of another spelling": (PATH, lambda edit: setattr(edit, "filter", 1), AttributeError, "filter"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(ui, mistake):
    widget, make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        make(getattr(ui, widget))


CORRECT = {
    "folder": lambda ui: ui.appliedFolderComboBox.setCurrentItem(0) or ui.appliedFolderComboBox.currentItem() == 0,
    "table": lambda ui: ui.resultsTableView.setMRMLTableNode(a_table()) or ui.resultsTableView.mrmlTableNode(),
    "path": lambda ui: (
        setattr(ui.trainingImageListEdit, "currentPath", "/data") or ui.trainingImageListEdit.currentPath == "/data"
    ),
}


@pytest.mark.parametrize("use", CORRECT)
def test_correct_use_is_let_through(ui, use):
    assert CORRECT[use](ui)


def test_an_item_that_is_gone_selects_nothing(ui):
    ui.appliedFolderComboBox.setCurrentItem(12345)
    assert ui.appliedFolderComboBox.currentItem() == 0


def test_an_emptied_path_is_no_change_of_the_path(ui):
    """CTK tells only paths that are valid; who waits for an empty one waits for ever."""
    told = []
    ui.trainingImageListEdit.connect("currentPathChanged(QString)", told.append)
    ui.trainingImageListEdit.currentPath = "/data"
    ui.trainingImageListEdit.currentPath = ""
    assert told == ["/data"]
