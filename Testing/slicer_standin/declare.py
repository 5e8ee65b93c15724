"""Declares a Python class as the stand-in of a class of ctk, qMRML or qSlicer, and compares it with the C++ headers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from PySide6 import QtCore

#: Stand-ins by the name of their C++ class; the loader of .ui files and the modules `ctk` and `slicer` take them here.
STAND_INS: dict[str, type] = {}
#: Methods that Slicer adds for Python: qSlicerBaseQTCorePythonQtDecorators.h and qSlicerBaseQTGUIPythonQtDecorators.h.
DECORATED = {
    "qSlicerCoreApplication": {"processEvents", "testingEnabled"},
    "qSlicerAbstractModule": {"widgetRepresentation"},
}

#: For each C++ class its bases, slots, signals, invokables, enumerations and properties with type and writability.
Api = dict[str, dict]
_KINDS = ("bases", "slots", "signals", "invokable", "enums", "properties")


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


def undeclared(cls: type, api: Api) -> list[str]:
    """What module code sees of a stand-in although the C++ class declares no such thing.

    Args:
        cls: stand-in.
        api: for each C++ class its bases, slots, signals, invokables and properties, as in `declared_by_headers()`.
    """
    name = cls.__name__
    if name not in api:
        return [f"{name} is no class with Q_OBJECT"]
    methods = _of(api, name, "slots") | _of(api, name, "invokable") | _of(api, name, "signals")
    methods |= {method for base in _line(api, name) for method in DECORATED.get(base, ())}
    return [f"{name}.{method}()" for method in sorted(cls._visible - methods)] + _wrong_properties(cls, api)


def declared_by_headers() -> Api:
    """What the headers of CTK and Slicer (main, August 2026) declare of the stand-ins' classes and their bases."""
    return json.loads((Path(__file__).parent / "declared_by_headers.json").read_text(encoding="utf-8"))


def api_of(names: Iterable[str], whole: Api) -> Api:
    """The entries that `undeclared` needs for these classes, out of a list of all classes."""
    needed = {base for name in names if name in whole for base in _line(whole, name)}
    return {name: {kind: whole[name][kind] for kind in _KINDS} for name in sorted(needed)}


def _properties(cls: type) -> dict[str, tuple[str, bool]]:
    """Type and writability; read now, because PySide6 replaces the description of a class when it is used."""
    meta = cls.staticMetaObject
    names = [name for name, value in vars(cls).items() if isinstance(value, QtCore.Property)]
    found = {name: meta.property(meta.indexOfProperty(name)) for name in names}
    return {name: (item.typeName(), item.isWritable()) for name, item in found.items()}


def _wrong_properties(cls: type, api: Api) -> list[str]:
    """Properties that the stand-in declares and the headers do not, or with another type or writability."""
    wrong, declared = [], {}
    enumerations = _of(api, cls.__name__, "enums")
    for base in reversed(_line(api, cls.__name__)):
        declared.update(api[base]["properties"])
    for name, ours in sorted(cls._properties.items()):
        theirs = declared.get(name)
        if theirs is None:
            wrong.append(f"{cls.__name__}.{name}")
        elif ours != ("int" if theirs["type"] in enumerations else theirs["type"], theirs["write"]):
            wrong.append(f"{cls.__name__}.{name}: {ours[0]}, writable {ours[1]}; {theirs}")
    return wrong


def _of(api: Api, name: str, kind: str) -> set[str]:
    return {member for base in _line(api, name) for member in api[base][kind]}


def _line(api: Api, name: str) -> list[str]:
    """The class and the bases that the headers describe, nearest first."""
    bases = [base for base in api[name]["bases"] if base in api]
    return [name, *(ancestor for base in bases for ancestor in _line(api, base))]
