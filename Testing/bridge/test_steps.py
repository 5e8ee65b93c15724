"""Steps: functions of arrays in a thread, everything else in the caller's, and errors that reach the caller."""

from __future__ import annotations

import threading
import time

import pytest
from VoxelMorphLib.bridge.background.steps import StepRunner, finish


def steps(threads):
    """Two functions with news between them."""
    first = yield lambda: (threads.append(threading.get_ident()), 2)[1]
    text = yield "half way"
    yield None
    assert text is None
    second = yield lambda: first * 21
    threads.append(threading.get_ident())
    return second


def failing():
    yield lambda: 1 / 0


def polled(runner, timeout_s=10):
    """The result, and the texts on the way."""
    texts, end = [], time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            texts.append(runner.poll(0.01))
        except StopIteration as done:
            return done.value, [text for text in texts if text]
    raise AssertionError("never done")


def test_here_and_in_a_thread_the_result_is_the_same():
    here, there = [], []
    assert finish(steps(here)) == 42
    assert polled(StepRunner(steps(there))) == (42, ["half way"])
    assert set(here) == {threading.get_ident()}
    assert there[0] != threading.get_ident()
    assert there[-1] == threading.get_ident()


def test_the_caller_does_not_wait_for_the_thread():
    release = threading.Event()

    def waiting():
        yield release.wait

    runner = StepRunner(waiting())
    began = time.monotonic()
    for _poll in range(3):
        assert runner.poll() is None
    assert time.monotonic() - began < 1
    release.set()
    polled(runner)


def test_an_error_in_the_thread_reaches_the_caller():
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        finish(failing())
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        polled(StepRunner(failing()))


def test_what_is_closed_takes_no_result():
    went_on = []

    def watched():
        yield lambda: 1
        went_on.append(True)

    runner = StepRunner(watched())
    runner.poll()
    runner.close()
    with pytest.raises(StopIteration):
        for _poll in range(1000):
            runner.poll(0.01)
    assert not went_on
