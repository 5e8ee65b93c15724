"""Loads a scripted module and opens its panel in the order in which Slicer does it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtCore

from .slicer_module import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget


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
