"""Signals as PythonQt shows them: `item.connect("clicked(bool)", f)` and `item.clicked.connect(f)`.

Exceptions that Qt would print and forget are recorded: in slots, in timers, in overridden methods, in property setters.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator

from PySide6 import QtCore

#: What happened since a test began; the fixtures fail the test when something is left here.
slot_errors: list[BaseException] = []


class BoundSignal:
    """One signal of one object; calling it emits it.

    Args:
        item: whose signal it is.
        name: without its types.
        signal: of PySide6.
        convert: makes arguments what module code shall receive.
    """

    def __init__(self, item: QtCore.QObject, name: str, signal: QtCore.SignalInstance, convert: Callable):
        self._item, self._name, self._signal, self._convert = item, name, signal, convert

    def connect(self, function) -> bool:
        """Call `function` on every signal."""
        function = unwrapped(function)
        if not callable(function):
            raise TypeError(f"{self._name}: {function!r} is not callable")
        slot = guarded(function, self._convert)
        self._connections().append((self._name, function, slot))
        self._signal.connect(slot)
        return True

    def disconnect(self, function=None) -> bool:
        """Undo `connect`; without function, everything that was connected from Python."""
        function = unwrapped(function)
        connections = self._connections()
        hits = [item for item in connections if item[0] == self._name and (function is None or item[1] == function)]
        for hit in hits:
            self._signal.disconnect(hit[2])
            connections.remove(hit)
        return bool(hits)

    def emit(self, *arguments) -> None:
        """Emit the signal."""
        self._signal.emit(*arguments)

    __call__ = emit

    def _connections(self) -> list:
        return object.__getattribute__(self._item, "__dict__").setdefault("_connections", [])


def disconnect_all(item: QtCore.QObject) -> None:
    """Undo every connection that was made from Python to a signal of `item`."""
    connections = object.__getattribute__(item, "__dict__").get("_connections", [])
    for name in {connection[0] for connection in connections}:
        getattr(item, name).disconnect()


def unwrapped(function):
    """A slot of C++ without its PythonQt wrapping, so that connecting it twice gives equal objects."""
    return getattr(function, "cpp_function", function)


def overload(item: QtCore.QObject, signal: QtCore.SignalInstance, signature: str) -> QtCore.SignalInstance:
    """The signal with exactly the types of `signature`, where Qt has several of one name."""
    types = signature[signature.index("(") + 1 : -1]
    if signature in _stand_in_signatures(item):
        return signal
    try:
        return signal[types] if types else signal
    except (KeyError, IndexError, TypeError):
        return signal


def argument_conversion(signature: str, convert: Callable) -> Callable:
    """What the types of `signature` make of the arguments: none at all, a truth value, or what `convert` makes."""
    if signature.endswith("()"):
        return None
    return bool if signature.endswith("(bool)") else convert


def declared_name(item: QtCore.QObject, signature: str) -> str:
    """The normalised signature of a signal of C++, or AttributeError with what there is instead.

    PythonQt prints a warning and returns False; the stand-in is stricter on purpose.
    """
    meta = QtCore.QObject.metaObject(item)
    normalised = bytes(meta.normalizedSignature(signature).data()).decode()
    declared = _stand_in_signatures(item)
    name = normalised.split("(")[0]
    overridden = {known.split("(")[0] for known in declared}
    if normalised in declared or (meta.indexOfSignal(normalised) >= 0 and name not in overridden):
        return normalised
    known = sorted({*declared, *(known for known in _qt_signatures(meta) if known.split("(")[0] not in overridden)})
    similar = [candidate for candidate in known if candidate.split("(")[0] == name]
    raise AttributeError(f"signal '{signature}' does not exist on {type(item).__name__}; has {similar or known}")


def _stand_in_signatures(item: QtCore.QObject) -> tuple[str, ...]:
    return getattr(type(item), "_signatures", ())


def _qt_signatures(meta: QtCore.QMetaObject) -> list[str]:
    methods = [meta.method(index) for index in range(meta.methodCount())]
    return [
        bytes(method.methodSignature().data()).decode()
        for method in methods
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal
    ]


def record(error: BaseException) -> None:
    """Remember an exception and print it, as PythonQt does."""
    slot_errors.append(error)
    traceback.print_exception(type(error), error, error.__traceback__)


def guarded(function: Callable, convert: Callable | None) -> Callable:
    """A slot: drops the arguments that `function` cannot take, records what it raises.

    Args:
        function: what is called.
        convert: applied to every argument; None drops them all.
    """
    limit = _positional(function) if convert else 0

    def call(*arguments):
        try:
            return function(*map(convert, arguments[:limit])) if convert else function()
        except Exception as error:
            return record(error)

    return call


def _positional(function: Callable) -> int | None:
    """How many positional arguments the function takes; None where there is no limit or nobody knows."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD) for item in parameters)


@contextlib.contextmanager
def recording() -> Iterator[list[BaseException]]:
    """Record what Python would only print, because Qt or VTK called the code: timers, virtual methods, observers."""

    def hook(_kind, error, _trace):
        record(error)

    before, sys.excepthook = sys.excepthook, hook
    slot_errors.clear()
    try:
        yield slot_errors
    finally:
        sys.excepthook = before
