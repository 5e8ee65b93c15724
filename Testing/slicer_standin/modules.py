"""The modules `qt` and `ctk`, and the widget classes inside `slicer`."""

from __future__ import annotations

import functools
import types

from PySide6 import QtCore, QtGui, QtWidgets

from . import ctk_widgets, mrml_widgets, selectors
from .declare import STAND_INS
from .strict import StrictMeta, strict
from .ui_loader import QUiLoader
from .values import EnumType, is_enumeration

#: Loaded for the stand-ins that they declare.
WIDGETS = (ctk_widgets, mrml_widgets, selectors)


class _QtNamespace:
    """qt.Qt: the values of its enumerations, unscoped."""

    def __getattr__(self, name: str):
        value = getattr(QtCore.Qt, name)
        return EnumType(value) if is_enumeration(value) else value


class _QtModule(types.ModuleType):
    """All classes of Qt in one flat module."""

    def __getattr__(self, name: str):
        for part in () if name.startswith("__") else (QtCore, QtGui, QtWidgets):
            value = getattr(part, name, None)
            if value is not None:
                is_object = isinstance(value, type) and issubclass(value, QtCore.QObject)
                setattr(self, name, strict(value) if is_object else value)
                return self.__dict__[name]
        raise AttributeError(f"module 'qt' has no attribute '{name}'")


class _CtkModule(types.ModuleType):
    def __getattr__(self, name: str):
        if not name.startswith("ctk"):
            raise AttributeError(f"module 'ctk' has no attribute '{name}'")
        return widget_class(name)


class QFileDialog(strict(QtWidgets.QFileDialog)):
    """PythonQt returns the path alone, PySide6 the path and the chosen filter."""

    @staticmethod
    def getOpenFileName(*arguments) -> str:
        """One existing file, or ""."""
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

    @staticmethod
    def getOpenFileNames(*arguments) -> tuple[str, ...]:
        """Several existing files."""
        return tuple(QtWidgets.QFileDialog.getOpenFileNames(*arguments)[0])

    @staticmethod
    def getSaveFileName(*arguments) -> str:
        """A file to write, or ""."""
        return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]


@functools.cache
def widget_class(name: str) -> type:
    """The stand-in of that name, or a class for type tests that cannot be created."""

    def refuse(self, *_arguments):
        raise TypeError(f"there is no stand-in for {name}")

    if name in STAND_INS:
        return STAND_INS[name]
    return StrictMeta(name, (strict(QtWidgets.QWidget),), {"__init__": refuse, "_is_cpp": True, "_visible": set()})


@functools.cache
def qt_module() -> types.ModuleType:
    """`qt`; always the same, because modules keep what they imported."""
    module = _QtModule("qt")
    module.Qt, module.QUiLoader, module.QFileDialog = _QtNamespace(), QUiLoader, QFileDialog
    return module


@functools.cache
def ctk_module() -> types.ModuleType:
    """`ctk`: stand-ins, and for every other name a class that cannot be created."""
    return _CtkModule("ctk")
