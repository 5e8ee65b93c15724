"""Signals that wait while C++ calls back into Python, where what their handlers raise is printed and lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def held_signals() -> Iterator[list[int]]:
    """Keep Ctrl-C and the wish to end from the code inside; their handlers run at its end, and may raise.

    Only those that Python handles are kept, and only in the main thread, which alone handles them.

    Yields:
        Numbers of the signals that have come; the code inside should end soon when there is one.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    earlier = {number: signal.getsignal(number) for number in numbers if callable(signal.getsignal(number))}
    for number in earlier:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield came
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
