"""Ctrl-C and the wish to end (SIGTERM, SIGHUP) stop a command, whatever code they meet."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interrupts:
    """Turns signals into KeyboardInterrupt and remembers them: what is raised in a finaliser or in C++ may be lost.

    Use as a context manager around a command; outside the main thread, where Python allows no handlers, it does
    nothing. Signals that were ignored before, as under nohup, stay ignored.
    """

    def __init__(self) -> None:
        self.asked = self._finishing = False
        self._earlier: dict[int, Any] = {}
        self._hook = sys.unraisablehook

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came whose exception was lost."""
        if self.asked:
            raise KeyboardInterrupt

    def finish(self) -> None:
        """From here on nothing is interrupted any more: results move into place together.

        Raises:
            KeyboardInterrupt: a signal came before.
        """
        self.settle()
        self.check()

    def settle(self) -> None:
        """Interrupt nothing any more: the command ends by itself."""
        self._finishing = True

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._earlier[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_error: object) -> None:
        self._finishing = True
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        if self._earlier:
            sys.unraisablehook = self._hook
        self._earlier.clear()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if not self._finishing:
            raise KeyboardInterrupt

    def _unraisable(self, lost: Any) -> None:
        """Print what Python cannot raise, but for what this class remembers."""
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._hook(lost)


_current: list[Interrupts] = [Interrupts()]


def current() -> Interrupts:
    """Those of the command that runs; without a command, ones that no signal reaches."""
    return _current[-1]


@contextmanager
def listening() -> Iterator[Interrupts]:
    """The interrupts of one command."""
    with Interrupts() as interrupts:
        _current.append(interrupts)
        try:
            yield interrupts
        finally:
            _current.pop()


def interrupt_at_the_end_of_input() -> None:
    """From here on the end of the standard input is a Ctrl-C, for commands that another program starts."""
    threading.Thread(target=_interrupt_at_the_end, args=(_private_input(),), daemon=True).start()


def _private_input() -> int:
    """The standard input for this module alone.

    On Windows importing numpy would wait for whoever reads the standard input (numpy issue 24290).
    """
    stream, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return stream


def _interrupt_at_the_end(stream: int) -> None:
    while os.read(stream, 1024):  # not by Python's own buffer, which the end of the process would have to wait for
        pass
    _thread.interrupt_main()
