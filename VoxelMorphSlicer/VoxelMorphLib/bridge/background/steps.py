"""Work on nodes in steps: nodes are read and written by the caller, arrays are computed by a thread meanwhile."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator
from typing import Any, Union

#: A generator that yields functions of plain arrays, whose results it is sent; a text names what comes next, and None
#: lets the application breathe. Nodes are touched between the yields only, so the functions may run in a thread.
Steps = Generator[Union[Callable[[], Any], str, None], Any, Any]


def finish(steps: Steps) -> Any:
    """Do all steps here and now; returns what the generator returns."""
    answer = None
    try:
        while True:
            item = steps.send(answer)
            answer = item() if callable(item) else None
    except StopIteration as end:
        return end.value


class StepRunner:
    """Does steps as somebody polls.

    Args:
        steps: its functions run in a thread of their own, one at a time.

    Attributes:
        warnings: sentences of the warnings that the caller's part of the work gave.
    """

    def __init__(self, steps: Steps):
        self._steps = steps
        self.warnings: list[str] = []
        self._thread: threading.Thread | None = None
        self._answer: Any = None
        self._error: BaseException | None = None

    def poll(self, wait_s: float = 0.0) -> str | None:
        """Go on where the thread is done; returns a text that the steps gave.

        Args:
            wait_s: longest wait for the thread, which computes only while the caller leaves Python's lock to it.

        Raises:
            StopIteration: all is done.
            Exception: what a step raised.
        """
        if self._thread is not None:
            self._thread.join(wait_s)
            if self._thread.is_alive():
                return None
            self._thread = None
        answer, error, self._answer, self._error = self._answer, self._error, None, None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                item = self._steps.send(answer) if error is None else self._steps.throw(error)
            finally:
                said = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
                self.warnings += [text for text in said if text not in self.warnings]
        if not callable(item):
            return item
        self._thread = threading.Thread(target=self._compute, args=(item,), daemon=True)
        self._thread.start()
        return None

    def close(self) -> None:
        """Drop what is left; a function that runs comes to its end, and nobody takes its result."""
        self._steps.close()

    def _compute(self, work: Callable[[], Any]) -> None:
        try:
            self._answer = work()
        except BaseException as error:  # raised again in the caller's thread
            self._error = error
