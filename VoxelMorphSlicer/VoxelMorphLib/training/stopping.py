"""When a training ends before its last epoch: it is asked to, or validations have not improved for long."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM")


class StopRequest:
    """Remembers Ctrl-C and SIGTERM until the current step is done; a second Ctrl-C interrupts at once.

    Use as a context manager; outside the main thread, where Python allows no signal handlers, only `ask` has an effect.
    """

    def __init__(self) -> None:
        self.asked = False
        self._process = os.getpid()
        self._earlier: dict[int, Any] = {}

    def ask(self) -> None:
        """Stop after the current step."""
        self.asked = True

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name)
                self._earlier[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked process that loads data; the training process ends it
            if number == signal.SIGTERM:
                os._exit(0)
            return
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt(
                "Ended at once. A checkpoint that was written before is whole; resume goes on from it."
            )
        self.asked = True


class Best:
    """The best validation so far, and how many have not improved on it since.

    Args:
        patience: validations without improvement that end the training; 0 for never.
    """

    def __init__(self, patience: int = 0):
        self.patience = patience
        self.value, self.variant, self.step, self.waited = float("-inf"), "", 0, 0

    def offer(self, value: float, variant: str, step: int) -> bool:
        """Whether this validation is the best so far, which is then remembered; larger is better, and NaN never is."""
        if value > self.value:
            self.value, self.variant, self.step, self.waited = float(value), variant, step, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the patience has run out."""
        return 0 < self.patience <= self.waited

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"value": self.value, "variant": self.variant, "step": self.step, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Restore `state`."""
        self.value, self.variant, self.step, self.waited = (state[k] for k in ("value", "variant", "step", "waited"))
