"""Exceptions that Qt would print and forget: in slots, in timers, in overridden methods, in property setters."""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator

#: What happened since a test began; the fixtures fail the test when something is left here.
slot_errors: list[BaseException] = []


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
