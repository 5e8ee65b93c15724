"""Compares the stand-ins with what the headers of CTK and Slicer declare."""

from __future__ import annotations

#: Methods that Slicer adds for Python: qSlicerBaseQTCorePythonQtDecorators.h and qSlicerBaseQTGUIPythonQtDecorators.h.
DECORATED = {
    "qSlicerCoreApplication": {"processEvents", "testingEnabled"},
    "qSlicerAbstractModule": {"widgetRepresentation"},
}

Api = dict[str, dict]


def undeclared(cls: type, api: Api) -> list[str]:
    """What module code sees of a stand-in although the C++ class declares no such thing.

    Args:
        cls: stand-in.
        api: for each C++ class its bases, slots, signals, invokables and properties with type and writability.
    """
    name = cls.__name__
    if name not in api:
        return [f"{name} is no class with Q_OBJECT"]
    methods = _of(api, name, "slots") | _of(api, name, "invokable") | _of(api, name, "signals")
    methods |= {method for base in _line(api, name) for method in DECORATED.get(base, ())}
    return [f"{name}.{method}()" for method in sorted(cls._visible - methods)] + _wrong_properties(cls, api)


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
