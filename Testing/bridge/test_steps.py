"""Steps: functions of arrays in a thread, everything else in the caller's, and errors that reach the caller."""

from __future__ import annotations

import threading
import time

import pytest
from VoxelMorphLib.bridge.background.steps import Registering, Running, Task, finish
from VoxelMorphLib.core.errors import Cancelled, ConfigError


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


def polled(steps, timeout_s=10):
    """The result, and the texts on the way."""
    done, failed, texts = [], [], []
    task, end = Task(steps, None, done.append, failed.append, texts.append), time.monotonic() + timeout_s
    while task.busy:
        assert time.monotonic() < end, "never done"
        task.poll(0.01)
    if failed:
        raise failed[0]
    return done[0], texts


def test_here_and_in_a_thread_the_result_is_the_same():
    here, there = [], []
    assert finish(steps(here)) == 42
    assert polled(steps(there)) == (42, ["half way"])
    assert set(here) == {threading.get_ident()}
    assert there[0] != threading.get_ident()
    assert there[-1] == threading.get_ident()


def test_the_caller_does_not_wait_for_the_thread():
    release = threading.Event()

    def waiting():
        yield release.wait

    task = Task(waiting())
    began = time.monotonic()
    for _poll in range(3):
        task.poll()
    assert task.busy and time.monotonic() - began < 1
    release.set()
    while task.busy:
        task.poll(0.01)


def test_an_error_in_the_thread_reaches_the_caller():
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        finish(failing())
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        polled(failing())


def test_what_is_closed_takes_no_result():
    went_on = []

    def watched():
        yield lambda: 1
        went_on.append(True)

    task = Task(watched(), None, went_on.append, went_on.append)
    task.poll()
    task.close()
    for _poll in range(5):
        task.poll(0.01)
    assert not task.busy and not went_on


def test_what_is_cancelled_may_clear_up_and_answers_once():
    answers, release = [], threading.Event()

    def careful():
        try:
            yield release.wait
        except Cancelled:
            answers.append("cleared up")
            raise

    task = Task(careful(), None, answers.append, answers.append)
    task.poll()
    task.cancel()
    task.cancel()
    release.set()
    task.poll(0.01)
    assert answers[0] == "cleared up" and len(answers) == 2 and isinstance(answers[1], Cancelled)


class Counting(Running):
    """Ends at the third look."""

    def __init__(self, fails=False):
        self.looks, self.fails, self.asked = 0, fails, []

    def poll(self):
        self.looks += 1
        return self.looks > 2

    def result(self):
        if self.fails or self.asked:
            raise Cancelled("stopped")
        return self.looks

    def cancel(self):
        self.asked.append("cancel")


def waiting_for(running):
    return (yield running)


def test_another_process_is_awaited_by_both_drivers():
    assert finish(waiting_for(Counting())) == 3
    assert polled(waiting_for(Counting())) == (3, [])
    for drive in (finish, polled):
        with pytest.raises(Cancelled, match="stopped"):
            drive(waiting_for(Counting(fails=True)))


def test_a_process_that_is_cancelled_may_still_save():
    failed, running = [], Counting()
    task = Task(waiting_for(running), on_failed=failed.append)
    task.poll()
    task.cancel()
    assert running.asked == ["cancel"] and task.stopping and task.busy
    task.poll()
    task.poll()
    assert isinstance(failed[0], Cancelled) and not task.busy


def test_registrations_are_computed_by_whoever_drives():
    def registering():
        one = yield Registering("a request")
        try:
            yield Registering("bad")
        except ValueError as error:
            return one, str(error)

    def register(request, progress):
        progress(0.5, "half")
        if request == "bad":
            raise ValueError("refused")
        return f"{request} registered"

    assert finish(registering(), register) == ("a request registered", "refused")


def test_a_cancel_from_inside_the_steps_is_heard_once_they_yield():
    answers, tasks = [], []

    def careless():
        tasks[0].cancel()
        tasks[0].poll()
        yield lambda: answers.append("computed")

    tasks.append(Task(careless(), None, answers.append, answers.append))
    tasks[0].poll()
    assert len(answers) == 1 and isinstance(answers[0], Cancelled) and not tasks[0].busy


def test_a_close_from_inside_the_steps_leaves_nothing_running():
    answers, tasks = [], []

    def closing():
        try:
            tasks[0].close()
            yield lambda: answers.append("computed")
        finally:
            answers.append("left")

    tasks.append(Task(closing(), None, answers.append, answers.append))
    tasks[0].poll()
    assert answers == ["left"] and not tasks[0].busy


def test_steps_hear_that_their_work_cannot_begin():
    heard, failed = [], []

    def registering():
        try:
            yield Registering("a request")
        except ConfigError as error:
            heard.append(str(error))
            raise

    Task(registering(), on_failed=failed.append).poll()
    assert len(heard) == 1 and "no worker" in heard[0] and str(failed[0]) == heard[0]


def test_a_callback_may_cancel_a_process():
    class Impatient(Counting):
        def poll(self):
            super().poll()
            if not self.asked:
                raise Cancelled("by the callback")
            return self.looks > 2

    running, failed = Impatient(), []
    task = Task(waiting_for(running), on_failed=failed.append)
    for _poll in range(4):
        task.poll()
    assert running.asked == ["cancel"] and isinstance(failed[0], Cancelled)
