"""qt.QUiLoader: what Qt Designer wrote, made of stand-ins; what Qt would silently ignore is an error."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from .declare import STAND_INS
from .strict import Strict, keep, strict

#: Properties that are not declared by the widget's class but read by parameterNodeWrapper.
_DYNAMIC = ("SlicerParameterName",)
_PARTS = ("sender", "signal", "receiver", "slot")


class UiError(RuntimeError):
    """A .ui file that Slicer would load with something missing."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads one .ui file; the connections are made by hand, because PySide6 knows no `vtkMRMLScene*`."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._errors = []

    def createWidget(self, class_name, parent=None, name=""):
        """Called by Qt for every widget; Qt would go on without one that fails."""
        try:
            widget = _widget_class(class_name, name)(*([parent] if parent is not None else []))
        except Exception as error:  # PySide6 would make of it what the version of Python makes of errors in C++
            self._errors.append(error)
            widget = strict(QtWidgets.QWidget)(*([parent] if parent is not None else []))
        QtCore.QObject.setObjectName(widget, name)
        return keep(widget)

    def createLayout(self, class_name, parent=None, name=""):
        """Called by Qt for every layout; one inside another layout has no parent yet."""
        is_outermost = isinstance(parent, QtWidgets.QWidget)
        layout = strict(getattr(QtWidgets, class_name))(*([parent] if is_outermost else []))
        QtCore.QObject.setObjectName(layout, name)
        return keep(layout)

    def load(self, device, parent=None):
        """The root widget.

        Raises:
            UiError: the file names something that does not exist, or a name twice.
        """
        root, content, connections = _checked(bytes(QtCore.QFile.readAll(device).data()))
        items = self._create(content, parent)
        _check_properties(root, items)
        for connection in connections:
            _connect(connection, items)
        for item in items.values():
            getattr(item, "_after_load", lambda: None)()
        return items[root.find("widget").get("name")]

    def _create(self, content: bytes, parent) -> dict[str, QtCore.QObject]:
        """Every object of the file by its name."""
        buffer = QtCore.QBuffer()
        buffer.setData(content)
        buffer.open(QtCore.QIODevice.ReadOnly)
        self._errors.clear()
        widget = super().load(buffer, parent)
        if self._errors:
            raise self._errors[0]
        if widget is None:
            raise UiError(self.errorString())
        items = (widget, *QtCore.QObject.findChildren(widget, QtCore.QObject))
        return {QtCore.QObject.objectName(item): item for item in items if isinstance(item, Strict)}


@functools.lru_cache(maxsize=4)
def _checked(content: bytes) -> tuple[ElementTree.Element, bytes, list[dict[str, str]]]:
    """A file without its connections, the same as text, and the connections; tests open the same file often."""
    root = ElementTree.fromstring(content)
    _check_classes(root)
    _check_names(root)
    _check_parameters(root)
    connections = [{part: item.findtext(part) for part in _PARTS} for item in root.iter("connection")]
    for section in root.findall("connections"):
        root.remove(section)
    return root, ElementTree.tostring(root), connections


def _widget_class(name: str, object_name: str) -> type:
    if name in STAND_INS:
        return STAND_INS[name]
    if name.startswith("Q") and hasattr(QtWidgets, name):
        return strict(getattr(QtWidgets, name))
    raise UiError(f"no stand-in for widget class {name} ({object_name})")


def _check_classes(root: ElementTree.Element) -> None:
    declared = {item.findtext("class") for item in root.iter("customwidget")}
    used = {item.get("class") for item in root.iter("widget")}
    missing = sorted({name for name in used if not name.startswith("Q")} - declared)
    if missing:
        raise UiError(f"custom widgets used but not declared in <customwidgets>: {missing}")


def _check_names(root: ElementTree.Element) -> None:
    names = [item.get("name") for kind in ("widget", "layout", "spacer") for item in root.iter(kind)]
    names = [name for name in names if name]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UiError(f"object names used more than once: {repeated}")


def _check_parameters(root: ElementTree.Element) -> None:
    """parameterNodeWrapper connects the last widget of a parameter only."""
    properties = [item for item in root.iter("property") if item.get("name") in _DYNAMIC]
    shown = [item.findtext("string") for item in properties]
    repeated = sorted({name for name in shown if shown.count(name) > 1})
    if repeated:
        raise UiError(f"parameters shown by more than one widget: {repeated}")


def _check_properties(root: ElementTree.Element, items: dict[str, QtCore.QObject]) -> None:
    for widget in root.iter("widget"):
        meta = QtCore.QObject.metaObject(items[widget.get("name")])
        for element in widget.findall("property"):
            name = element.get("name")
            known = meta.indexOfProperty(name) >= 0 or element.get("stdset") == "0" or name in _DYNAMIC
            if not known:
                raise UiError(f"{widget.get('class')} '{widget.get('name')}' has no property '{name}'")


def _connect(connection: dict[str, str], items: dict[str, QtCore.QObject]) -> None:
    for part in ("sender", "receiver"):
        if connection[part] not in items:
            raise UiError(f"connection {connection}: no object '{connection[part]}'")
    try:
        slot = getattr(items[connection["receiver"]], connection["slot"].split("(")[0])
        items[connection["sender"]].connect(connection["signal"], slot)
    except AttributeError as error:
        raise UiError(f"connection {connection}: {error}") from error
