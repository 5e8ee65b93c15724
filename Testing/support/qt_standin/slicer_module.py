"""The C++ sides of a scripted module and of its panel."""

from __future__ import annotations

from pathlib import Path

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
