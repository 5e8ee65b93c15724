"""Actions: methods of the logic, written once as steps, that run at once or step by step in a runner."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..background.steps import Steps
    from ..background.worker import WorkerClient


class Driver(Protocol):
    """Whatever runs steps and waits for them."""

    def finish(self, steps: Steps, worker: WorkerClient | None = None) -> Any:
        """Run all steps; `worker` computes registrations, None computes them in this process."""


class action:  # noqa: N801, a decorator
    """Makes a method that returns steps callable in two ways.

    `logic.method(...)` runs the steps and returns their result; besides the method's own arguments it takes `worker`,
    the process that registers. `logic.method.steps(...)` returns the steps for a `Task` or a `Runner`.
    """

    def __init__(self, function: Callable[..., Steps]):
        functools.update_wrapper(self, function)
        self._function = function

    def __get__(self, logic: Driver | None, _owner: type) -> Any:
        return self if logic is None else _Bound(logic, self._function)


class _Bound:
    """An action of one logic."""

    def __init__(self, logic: Driver, function: Callable[..., Steps]):
        functools.update_wrapper(self, function)
        self._logic, self._function = logic, function

    def __call__(self, *arguments: Any, worker: WorkerClient | None = None, **named: Any) -> Any:
        return self._logic.finish(self.steps(*arguments, **named), worker)

    def steps(self, *arguments: Any, **named: Any) -> Steps:
        """The same action for a runner."""
        return self._function(self._logic, *arguments, **named)
