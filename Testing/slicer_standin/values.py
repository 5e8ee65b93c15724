"""Values that cross between Python and Qt, converted as PythonQt converts them."""

from __future__ import annotations

import enum
import math

_INTEGERS = ("int", "uint", "qlonglong", "qulonglong")
_REALS = ("double", "float")


class EnumType:
    """An enumeration as PythonQt shows it: callable, usable with isinstance, but without its members.

    Values are unscoped in PythonQt: QMessageBox.Ok exists, QMessageBox.StandardButton.Ok does not.
    """

    def __init__(self, enumeration: type[enum.Enum]):
        self._enumeration = enumeration

    def __call__(self, value):
        return self._enumeration(value)

    def __instancecheck__(self, instance) -> bool:
        return isinstance(instance, self._enumeration)

    def __getattr__(self, name: str):
        raise AttributeError(
            f"'{self._enumeration.__name__}' has no attribute '{name}': PythonQt knows only the unscoped value"
        )


def is_enumeration(value) -> bool:
    """Whether `value` is an enumeration type of Qt."""
    return isinstance(value, type) and issubclass(value, enum.Enum)


def to_property(name: str, type_name: str, value):
    """`value` converted to the type of a property, or AttributeError.

    PythonQt converts without asking: anything becomes a string or a truth value, reals are rounded down to integers.
    Only text is never taken for a number. Source: PythonQtConv::PyObjToQVariant of PythonQtConversion.cpp.
    """
    if type_name == "QString":
        return str(value)
    if type_name == "bool":
        return bool(value)
    if type_name in _INTEGERS or type_name in _REALS:
        number = _number(value)
        if number is None:
            raise refused(name, type_name, value)
        return math.floor(number) if type_name in _INTEGERS else number
    if type_name == "QStringList":
        if not isinstance(value, (list, tuple)):
            raise refused(name, type_name, value)
        return [str(item) for item in value]
    return value


def refused(name: str, type_name: str, value) -> AttributeError:
    """The error of PythonQt for a value that a property cannot take."""
    return AttributeError(
        f"Property '{name}' of type '{type_name}' does not accept an object of type {type(value).__name__} ({value!r})"
    )


def _number(value) -> float | None:
    if isinstance(value, str):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
