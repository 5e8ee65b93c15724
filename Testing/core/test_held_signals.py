"""Signals wait for the end of what they may not interrupt, and then reach whoever handled them before."""

from __future__ import annotations

import signal
import threading

import pytest
from VoxelMorphLib.core.held_signals import held_signals


@pytest.fixture
def heard():
    """The numbers that a handler of SIGTERM received; SIGINT is ignored meanwhile."""
    numbers: list[int] = []
    earlier = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _frame: numbers.append(number)),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
    }
    yield numbers
    for number, handler in earlier.items():
        signal.signal(number, handler)


def test_they_come_at_the_end_and_each_once(heard):
    with held_signals() as came:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert (came, heard) == ([signal.SIGTERM] * 2, [])
    assert heard == [signal.SIGTERM]


def test_an_error_inside_keeps_no_handler(heard):
    with pytest.raises(ZeroDivisionError), held_signals():
        1 / 0  # noqa: B018
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_ignored_signals_stay_ignored(heard):
    with held_signals() as came:
        signal.raise_signal(signal.SIGINT)
    assert (came, heard) == ([], [])


def test_other_threads_handle_none(heard):
    def work():
        with held_signals():
            assert signal.getsignal(signal.SIGTERM) is before
            seen.append(True)

    before, seen = signal.getsignal(signal.SIGTERM), []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
