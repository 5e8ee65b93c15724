"""Loads a scripted module and opens its panel in the order in which Slicer does it, with the C++ sides of both."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .ctk_widgets import stored
from .declare import stand_in
from .mrml_widgets import SCENE_CHANGED, qSlicerWidget
from .strict import strict

_TEXTS = ("title", "helpText", "acknowledgementText")
_LISTS = ("categories", "dependencies", "contributors", "associatedNodeTypes")


@stand_in(methods=["logic", "widgetRepresentation"])
class qSlicerScriptedLoadableModule(strict(QtCore.QObject)):
    """What the constructor of a module receives as `parent`.

    Args:
        path: the module's Python file, named like the module.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.name, self._path = path.stem, str(path)
        self._stored = {
            **dict.fromkeys(_TEXTS, ""),
            **{name: [] for name in _LISTS},
            **{"hidden": False, "widgetRepresentationCreationEnabled": True, "icon": QtGui.QIcon()},
        }
        self._panel = None

    def logic(self):
        """Scripted modules have no C++ logic here."""

    def widgetRepresentation(self):
        """The panel, once it was opened."""
        return self._panel

    title, helpText, acknowledgementText = (stored(name, str) for name in _TEXTS)
    path = Property(str, lambda self: self._path)
    categories, dependencies, contributors, associatedNodeTypes = (stored(name, "QStringList") for name in _LISTS)
    hidden = stored("hidden", bool)
    widgetRepresentationCreationEnabled = stored("widgetRepresentationCreationEnabled", bool)
    icon = stored("icon", QtGui.QIcon)


@stand_in(methods=["setMRMLScene", "reload", "self"], signals=[SCENE_CHANGED])
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """What the constructor of a module's widget receives as `parent`.

    Args:
        build: makes and sets up the Python side, and returns it.
    """

    mrmlSceneChanged = Signal(object)

    def __init__(self, build):
        super().__init__()
        self._entered, self._python_side, self._build = False, None, build
        QtWidgets.QVBoxLayout(self)

    def reload(self) -> None:
        """Make the Python side anew, from what the module's file is now."""
        self._python_side = self._build(self)

    def self(self):
        """The Python side."""
        return self._python_side

    isEntered = Property(bool, lambda self: self._entered)


def load_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Run the module's file and construct its module class; returns the C++ side.

    Source: qSlicerScriptedLoadableModule::setPythonSource.
    """
    name, module = path.stem, qSlicerScriptedLoadableModule(path)
    _run_file(path)
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.moduleNames, name, name)
    slicer.app.moduleManager()._modules[name] = module
    setattr(slicer.modules, f"{name}Instance", getattr(sys.modules[name], name)(module))
    return module


def open_panel(module: qSlicerScriptedLoadableModule) -> qSlicerScriptedLoadableModuleWidget:
    """Construct the widget class, set it up, give it the scene, enter it; returns the C++ side.

    Source: qSlicerScriptedLoadableModuleWidget::setPythonSource, qSlicerAbstractCoreModule::widgetRepresentation.
    """
    frame = qSlicerScriptedLoadableModuleWidget(lambda parent: _build(module.name, parent))
    module._panel = frame
    frame.reload()
    frame.setMRMLScene(slicer.mrmlScene)
    set_entered(module, True)
    return frame


def set_entered(module: qSlicerScriptedLoadableModule, entered: bool) -> None:
    """The user comes to the module, or leaves it for another one."""
    frame = module.widgetRepresentation()
    frame._entered = entered
    getattr(frame.self(), "enter" if entered else "exit", lambda: None)()


def unload_module(module: qSlicerScriptedLoadableModule) -> None:
    """What happens when the application ends: the panel cleans up and is deleted."""
    name, frame = module.name, module.widgetRepresentation()
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
    if frame is not None:
        frame.delete()
    for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
        if hasattr(slicer.modules, attribute):
            delattr(slicer.modules, attribute)
    slicer.app.moduleManager()._modules.pop(name, None)
    sys.modules.pop(name, None)
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)


def _run_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded
    spec.loader.exec_module(loaded)


def _build(name: str, frame: qSlicerScriptedLoadableModuleWidget):
    widget = getattr(sys.modules[name], f"{name}Widget")(frame)
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    return widget
