"""Actions: methods of the logic, written once as steps, that run at once or step by step in a runner."""

from __future__ import annotations

import functools
import inspect
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

    `logic.method(...)` does the steps, waits and gives their result; it takes `worker`, the process that registers, in
    addition to the method's own arguments. `logic.method.steps(...)` gives the steps to a `Task` or a `Runner`.
    """

    def __init__(self, function: Callable[..., Steps]):
        functools.update_wrapper(self, function)
        self._function = function

    def __get__(self, logic: Driver | None, _owner: type) -> Any:
        if logic is None:
            return self._function
        steps = functools.partial(self._function, logic)

        def done(*arguments: Any, worker: WorkerClient | None = None, **named: Any) -> Any:
            return logic.finish(steps(*arguments, **named), worker)

        functools.update_wrapper(done, self._function)
        done.steps = steps
        done.__signature__ = _with_worker(self._function)
        return done


def _with_worker(function: Callable[..., Steps]) -> inspect.Signature:
    """What `help` shows of an action: its own arguments and the worker."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    worker = inspect.Parameter("worker", inspect.Parameter.KEYWORD_ONLY, default=None)
    return inspect.Signature([*parameters, worker])
