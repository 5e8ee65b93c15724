"""Declares a Python class as the stand-in of a class of ctk, qMRML or qSlicer."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6 import QtCore

#: Stand-ins by the name of their C++ class; the loader of .ui files and the modules `ctk` and `slicer` take them here.
STAND_INS: dict[str, type] = {}


def stand_in(methods: Iterable[str] = (), signals: Iterable[str] = ()):
    """Decorator: module code sees these methods and signals, the QtCore.Property attributes, and the Qt base class.

    Args:
        methods: names of public slots, invokables and decorators of the C++ class.
        signals: their C++ signatures.
    """

    def declare(cls: type) -> type:
        cls._is_cpp = True
        cls._visible = {*methods, *(signature.split("(")[0] for signature in signals)}
        cls._signatures = (*getattr(cls, "_signatures", ()), *signals)
        cls._properties = {**getattr(cls, "_properties", {}), **_properties(cls)}
        STAND_INS[cls.__name__] = cls
        return cls

    return declare


def _properties(cls: type) -> dict[str, tuple[str, bool]]:
    """Type and writability; read now, because PySide6 replaces the description of a class when it is used."""
    meta = cls.staticMetaObject
    names = [name for name, value in vars(cls).items() if isinstance(value, QtCore.Property)]
    found = {name: meta.property(meta.indexOfProperty(name)) for name in names}
    return {name: (item.typeName(), item.isWritable()) for name, item in found.items()}
