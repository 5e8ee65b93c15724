"""Mistakes that Slicer would punish, made in module code and in .ui files: the stand-in catches each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

DEMO = Path(__file__).parent / "standin_demo" / "StandInDemo.py"
UI_FILE = DEMO.parent / "Resources" / "UI" / "StandInDemo.ui"
FOLDER = "folderSelector"
TABLE = "tableView"
PATH = "pathEdit"


@pytest.fixture
def ui(a_module_widget):
    """The widgets of the demo."""
    return a_module_widget(DEMO).ui


def a_table():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "table")


def _qt():
    import qt

    return qt


def _ctk():
    import ctk

    return ctk


MISTAKES = {
    "property called like a method": (lambda ui: ui.statusLabel.text(), TypeError, "not callable"),
    "property of another case": (lambda ui: setattr(ui.applyButton, "Text", "x"), AttributeError, "no new attributes"),
    "attribute that does not exist": (lambda ui: setattr(ui.applyButton, "caption", "x"), AttributeError, "caption"),
    "read-only property": (lambda ui: setattr(ui.applyButton, "width", 5), AttributeError, "not writable"),
    "method overwritten": (lambda ui: setattr(ui.applyButton, "click", print), AttributeError, "cannot be overwritten"),
    "text where a number belongs": (lambda ui: setattr(ui.strengthSlider, "value", "4"), AttributeError, "not accept"),
    "signal that does not exist": (
        lambda ui: ui.fixedSelector.connect("currentNodeChange(vtkMRMLNode*)", print),
        AttributeError,
        "does not exist on qMRMLNodeComboBox",
    ),
    "signal with other types": (
        lambda ui: ui.strengthSlider.connect("valueChanged(int)", print),
        AttributeError,
        r"has \['valueChanged\(double\)'\]",
    ),
    "signal of Qt with other types": (
        lambda ui: ui.applyButton.connect("clicked(int)", print),
        AttributeError,
        r"clicked\(bool\)",
    ),
    "slot that is not callable": (lambda ui: ui.applyButton.clicked.connect(None), TypeError, "not callable"),
    "C++ method that is no slot": (lambda ui: ui.strengthSlider.setMinimum(0), AttributeError, "'setMinimum'"),
    "setter of a property without slot": (
        lambda ui: ui.fixedSelector.setNodeTypes([]),
        AttributeError,
        "'setNodeTypes'",
    ),
    "property of the wrong widget": (lambda ui: ui.fixedSelector.currentIndex, AttributeError, "'currentIndex'"),
    "id where a node belongs": (lambda ui: ui.fixedSelector.setCurrentNode("node1"), TypeError, "setCurrentNodeID"),
    "list that is no list": (lambda ui: setattr(ui.fixedSelector, "nodeTypes", "vtk"), AttributeError, "QStringList"),
    "keyword in a constructor": (lambda _ui: _qt().QLabel(text="x"), TypeError, "no keyword arguments"),
    "keyword in a method": (lambda ui: ui.applyButton.setText(text="x"), TypeError, "no keyword arguments"),
    "scoped enumeration": (lambda _ui: _qt().QMessageBox.StandardButton.Ok, AttributeError, "unscoped"),
    "scoped enumeration of Qt": (lambda _ui: _qt().Qt.Orientation.Vertical, AttributeError, "unscoped"),
    "module of PySide6": (lambda _ui: _qt().QtWidgets, AttributeError, "no attribute 'QtWidgets'"),
    "class that does not exist": (lambda _ui: _qt().QMagic, AttributeError, "no attribute 'QMagic'"),
    "widget of CTK that does not exist": (lambda _ui: _ctk().ctkMagic(), TypeError, "no stand-in for ctkMagic"),
    "widget name with a typing error": (lambda ui: ui.aplyButton, AttributeError, "aplyButton"),
    "method of qMRMLWidget on qSlicerWidget": (
        lambda _ui: slicer.qSlicerWidget().mrmlScene(),
        AttributeError,
        "'mrmlScene'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_python_is_caught(ui, mistake):
    make, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        make(ui)


WIDGET_MISTAKES = {
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


@pytest.mark.parametrize("mistake", WIDGET_MISTAKES)
def test_a_mistake_with_a_widget_is_caught(ui, mistake):
    widget, make, error, message = WIDGET_MISTAKES[mistake]
    with pytest.raises(error, match=message):
        make(getattr(ui, widget))


CORRECT = {
    "folder": lambda ui: ui.folderSelector.setCurrentItem(0) or ui.folderSelector.currentItem() == 0,
    "table": lambda ui: ui.tableView.setMRMLTableNode(a_table()) or ui.tableView.mrmlTableNode(),
    "path": lambda ui: setattr(ui.pathEdit, "currentPath", "/data") or ui.pathEdit.currentPath == "/data",
}


@pytest.mark.parametrize("use", CORRECT)
def test_correct_use_is_let_through(ui, use):
    assert CORRECT[use](ui)


def test_an_item_that_is_gone_selects_nothing(ui):
    ui.folderSelector.setCurrentItem(12345)
    assert ui.folderSelector.currentItem() == 0


def test_an_emptied_path_is_no_change_of_the_path(ui):
    """CTK tells only paths that are valid; who waits for an empty one waits for ever."""
    told = []
    ui.pathEdit.connect("currentPathChanged(QString)", told.append)
    ui.pathEdit.currentPath = "/data"
    ui.pathEdit.currentPath = ""
    assert told == ["/data"]


UI_MISTAKES = {
    "property that does not exist": (
        'name="nodeTypes"',
        'name="nodeType"',
        "'fixedSelector' has no property 'nodeType'",
    ),
    "class that is not declared": ('class="ctkSliderWidget" name', 'class="ctkSlidrWidget" name', "not declared"),
    "class without stand-in": ("ctkSliderWidget", "ctkSlidrWidget", "no stand-in for widget class ctkSlidrWidget"),
    "name used twice": ('name="failButton"', 'name="applyButton"', r"more than once: \['applyButton'\]"),
    "parameter shown twice": (">transform<", ">fixedVolume<", r"more than one widget: \['fixedVolume'\]"),
    "sender that does not exist": ("<sender>StandInDemo", "<sender>Demo", "no object 'Demo'"),
    "receiver that does not exist": ("<receiver>fixedSelector", "<receiver>fixed", "no object 'fixed'"),
    "signal with other types": ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChanged(vtkMRMLScene)", "does not exist"),
    "slot that does not exist": ("setMRMLScene(vtkMRMLScene*)", "setMrmlScene(vtkMRMLScene*)", "setMrmlScene"),
}


def _changed(tmp_path: Path, old: str, new: str, count: int) -> str:
    text = UI_FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mistake.ui"
    path.write_text(text.replace(old, new, count), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("mistake", UI_MISTAKES)
def test_a_mistake_in_a_ui_file_is_caught(scene, tmp_path, mistake):
    old, new, message = UI_MISTAKES[mistake]
    everywhere = mistake == "class without stand-in"
    with pytest.raises(RuntimeError, match=message):
        slicer.util.loadUI(_changed(tmp_path, old, new, -1 if everywhere else 1))


def test_a_ui_file_without_mistake_is_loaded(scene, tmp_path):
    assert slicer.util.loadUI(_changed(tmp_path, "Everything", "Something", 1)).name == "StandInDemo"
