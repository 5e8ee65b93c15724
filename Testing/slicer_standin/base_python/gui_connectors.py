"""How widgets show parameters: which widget can show which type, as in slicer.parameterNodeWrapper."""

from __future__ import annotations

import ctk
import qt
import slicer

from .parameter_types import Choice, Parameter, WithinRange

_COMBO_BOXES = (qt.QComboBox, ctk.ctkComboBox)
_SLIDERS = (ctk.ctkSliderWidget,)
_SPIN_BOXES = (qt.QSpinBox, qt.QDoubleSpinBox)


def connector(widget, parameter: Parameter) -> Connector:
    """What connects the widget with the parameter.

    Raises:
        RuntimeError: Slicer has no connection of this widget with this type.
    """
    kind = type(widget)
    if kind in _COMBO_BOXES:
        return _ComboBox(widget, parameter)
    if kind is slicer.qMRMLNodeComboBox and hasattr(parameter.storage, "kinds"):
        return _NodeComboBox(widget, parameter)
    if (kind in _SLIDERS and parameter.type in (int, float)) or _is_spin_box(kind, parameter.type):
        return _Number(widget, parameter)
    for widget_class, value_class, name, signal in _PROPERTIES:
        if kind is widget_class and parameter.type is value_class:
            return _Property(widget, parameter, name, signal)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.type}' to widget type '{kind}'.")


#: Widget, type, property and signal where nothing else has to be done.
_PROPERTIES = (
    (qt.QCheckBox, bool, "checked", "stateChanged"),
    (qt.QPushButton, bool, "checked", "toggled"),
    (qt.QLineEdit, str, "text", "textChanged"),
    (qt.QLabel, str, "text", None),
)


def _is_spin_box(kind: type, value_class: type) -> bool:
    return kind in _SPIN_BOXES and (value_class is int or (value_class is float and kind is qt.QDoubleSpinBox))


class Connector:
    """One widget that shows one parameter.

    Args:
        widget: of a class that can show the parameter.
        parameter: what is shown.
    """

    signal: str | None = "valueChanged"

    def __init__(self, widget, parameter: Parameter):
        self.widget, self.parameter = widget, parameter
        self._callback = None

    def on_changed(self, callback) -> None:
        """Call `callback` when a person changes the widget; None ends that."""
        if self.signal is None:
            return
        if callback is None:
            getattr(self.widget, self.signal).disconnect(self._changed)
        else:
            getattr(self.widget, self.signal).connect(self._changed)
        self._callback = callback

    def _changed(self) -> None:
        if self._callback:
            self._callback()

    def read(self):
        """The value in the widget."""
        return self.widget.value

    def write(self, value) -> None:
        """Show a value."""
        self.widget.value = value


class _Property(Connector):
    def __init__(self, widget, parameter: Parameter, name: str, signal: str | None):
        super().__init__(widget, parameter)
        self._name, self.signal = name, signal
        if isinstance(widget, qt.QPushButton):
            widget.checkable = True

    def read(self):
        return getattr(self.widget, self._name)

    def write(self, value) -> None:
        if getattr(self.widget, self._name) != value:
            setattr(self.widget, self._name, value)


class _Number(Connector):
    """The widget takes its limits from the parameter; a slider needs some."""

    def __init__(self, widget, parameter: Parameter):
        super().__init__(widget, parameter)
        limits = [item for item in parameter.annotations if isinstance(item, WithinRange)]
        minimum = max((item.minimum for item in limits), default=float("-inf"))
        maximum = min((item.maximum for item in limits), default=float("inf"))
        if type(widget) in _SLIDERS and float("inf") in (-minimum, maximum):
            raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
        if type(widget) is qt.QSpinBox:
            minimum, maximum = max(minimum, -(2**31)), min(maximum, 2**31 - 1)
        elif parameter.type is int:
            widget.decimals = 0
        widget.minimum, widget.maximum = minimum, maximum

    def read(self):
        return self.parameter.type(self.widget.value)


class _ComboBox(Connector):
    """The items are the choices of the parameter, or the members of its enumeration."""

    signal = "currentIndexChanged"

    def __init__(self, widget, parameter: Parameter):
        super().__init__(widget, parameter)
        choice = parameter.annotation(Choice)
        if choice is None and parameter.type in (int, float, str, bool):
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        self._values = list(choice.choices if choice else parameter.type)
        widget.clear()
        for value in self._values:
            widget.addItem(str(value) if choice else _label(value))

    def read(self):
        return self._values[self.widget.currentIndex]

    def write(self, value) -> None:
        self.widget.currentIndex = self._values.index(value)


def _label(member) -> str:
    return member.label() if hasattr(member, "label") else member.name


class _NodeComboBox(Connector):
    """The widget takes its node types from the parameter."""

    signal = "currentNodeChanged"

    def __init__(self, widget, parameter: Parameter):
        super().__init__(widget, parameter)
        widget.nodeTypes = [kind().GetClassName() for kind in parameter.storage.kinds]

    def read(self):
        return self.widget.currentNode()

    def write(self, value) -> None:
        self.widget.setCurrentNode(value)
