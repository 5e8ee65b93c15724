"""slicer.parameterNodeWrapper, as far as our modules use it: typed attributes of a parameter node, shown by widgets."""

from __future__ import annotations

import typing

import qt
import slicer
import vtk

from .gui_connectors import connector
from .parameter_types import Choice, Default, Maximum, Minimum, Parameter, WithinRange

__all__ = ["Choice", "Default", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]

_PROPERTY = "SlicerParameterName"


def parameterNodeWrapper(cls: type) -> type:
    """Decorator: the annotated attributes of the class are read from and written to a parameter node.

    Raises:
        TypeError: an annotation names a type that cannot be stored.
        ValueError: the class has an attribute of a name that is needed here.
    """
    parameters = {}
    for name, annotated in typing.get_type_hints(cls, include_extras=True).items():
        parameters[name] = Parameter(name, annotated)
        if hasattr(cls, name):
            parameters[name].default = getattr(cls, name)
        setattr(cls, name, _attribute(parameters[name]))
    for name in ("allParameters", *(name for name in vars(_Wrapper) if not name.startswith("__"))):
        if hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(cls, name, parameters if name == "allParameters" else vars(_Wrapper)[name])
    cls.__init__ = _Wrapper.__init__
    return cls


def _attribute(parameter: Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode), lambda self, value: parameter.write(self.parameterNode, value)
    )


class _Wrapper:
    """The methods that a decorated class receives."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._guis = {}
        self._showing = False
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)

    def connectGui(self, gui) -> int:
        """Connect every widget with the property SlicerParameterName; returns what `disconnectGui` takes."""
        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if is_widget else vars(gui).values()
        named = {widget.property(_PROPERTY): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict) -> int:
        """Connect widgets by the names of the parameters that they show."""
        for name in mapping:
            self.dataType(name)
        connectors = {name: connector(widget, self.allParameters[name]) for name, widget in mapping.items()}
        for name, item in connectors.items():
            item.write(getattr(self, name))
            item.on_changed(self._taker(name, item))
        tag = max(self._guis, default=-1) + 1
        self._guis[tag] = (connectors, self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show))
        return tag

    def disconnectGui(self, tag: int) -> None:
        """Undo `connectGui`."""
        connectors, observer = self._guis.pop(tag, ({}, None))
        for item in connectors.values():
            item.on_changed(None)
        if observer is not None:
            self.RemoveObserver(observer)

    def _taker(self, name: str, item):
        def take() -> None:
            if not self._showing:
                with slicer.util.NodeModify(self):
                    setattr(self, name, item.read())

        return take

    def _show(self, *_event) -> None:
        if self._showing:
            return
        self._showing = True
        try:
            for connectors, _observer in self._guis.values():
                for name, item in connectors.items():
                    item.write(getattr(self, name))
        finally:
            self._showing = False

    def dataType(self, name: str):
        """The annotated type of a parameter; ValueError where there is none of that name."""
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; found {list(self.allParameters)}")
        return self.allParameters[name].annotated

    def default(self, name: str) -> Default:
        """The value of a parameter that was never set."""
        self.dataType(name)
        return Default(self.allParameters[name].default)

    def getValue(self, name: str):
        """A parameter by its name."""
        self.dataType(name)
        return getattr(self, name)

    def setValue(self, name: str, value) -> None:
        """A parameter by its name."""
        self.dataType(name)
        setattr(self, name, value)

    def StartModify(self) -> int:
        """Hold events back."""
        return self.parameterNode.StartModify()

    def EndModify(self, was_modifying: int) -> int:
        """Send what `StartModify` held back."""
        return self.parameterNode.EndModify(was_modifying)

    def AddObserver(self, event, callback, priority: float = 0.0) -> int:
        """Of the parameter node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Of the parameter node."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        """Of the parameter node."""
        self.parameterNode.Modified()
