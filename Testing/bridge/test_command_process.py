"""The train command as a child process: progress, an answer in every case, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import psutil
from support import fake_trainer
from support.small_scans import write_scans
from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER, ChildProcess
from VoxelMorphLib.bridge.background.steps import Task
from VoxelMorphLib.core.errors import Cancelled, VoxelMorphError, WorkerError


class Heard:
    """What a process said to its callbacks."""

    def __init__(self):
        self.progress, self.lines, self.errors = [], [], []

    def callbacks(self):
        return {"on_done": self.lines.append, "on_failed": self.errors.append}

    def report(self, *news):
        self.progress.append(news)


class Training:
    """A fake training as a task."""

    def __init__(self, words, heard, behaviour, **options):
        self.process = ChildProcess([*fake_trainer.command(behaviour), *words], heard.report, **options)
        self.pid, self.kill = self.process.pid, self.process.kill
        self.task = Task(self._steps(), **heard.callbacks())
        self.poll, self.cancel = self.task.poll, self.task.cancel
        self.poll()

    def _steps(self):
        return (yield self.process)

    @property
    def busy(self):
        return self.task.busy

    def wait(self, timeout_s):
        wait_until(lambda: not self.busy, self, timeout_s)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def start(heard, tmp_path):
    """Starts a fake training; what still runs after the test is ended."""
    started = []

    def make(behaviour, *arguments, **options):
        words = [f"--outputDir={tmp_path / 'out'}", *arguments]
        started.append(Training(words, heard, behaviour, **options))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.wait(10)


def wait_until(condition, process=None, timeout_s=20.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        if process is not None:
            process.poll()
        time.sleep(0.01)


def is_running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class GoneAtOnce:
    """Is set, and the last progress of the process comes just before somebody looks."""

    def __init__(self, process):
        self.process = process

    def is_set(self):
        self.process._state = (1.0, "Writing")
        return True


def test_the_last_progress_is_told_however_fast_a_process_ends(heard):
    process = ChildProcess([sys.executable, "-c", ""], heard.report)
    assert process.gone.wait(30)
    process.gone = GoneAtOnce(process)
    assert process.poll() and heard.progress == [(1.0, "Writing")]


def test_a_training_reports_its_progress_and_what_it_printed(start, heard):
    process = start("finish")
    assert process.busy
    process.wait(20)
    assert heard.progress[-1] == (1.0, "Training")
    assert heard.lines == [("100 steps done",)]
    assert heard.errors == []
    assert not process.busy and not psutil.pid_exists(process.pid)


def test_the_command_gets_its_words_unchanged(start, heard):
    start("words", "--imageList=a b/ä.txt").wait(20)
    assert json.loads(heard.lines[0][0])[1:] == ["--imageList=a b/ä.txt"]


def test_a_refusal_is_the_sentence_of_the_command(start, heard):
    start("refuse").wait(20)
    with pytest.raises(VoxelMorphError, match=r"^The list is empty\. Give two images\.$"):
        raise heard.errors[0]


def test_a_fault_of_the_program_is_told_with_its_last_words(start, heard):
    start("crash").wait(20)
    with pytest.raises(WorkerError, match="exit code 1: RuntimeError: something is broken") as caught:
        raise heard.errors[0]
    assert "Traceback" in caught.value.details


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_an_end_from_outside_is_told(start, heard):
    process = start("run")
    wait_until(lambda: heard.progress, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    with pytest.raises(WorkerError, match=r"ended from outside \(signal 9\)"):
        raise heard.errors[0]


def test_stopping_lets_the_training_save(start, heard, tmp_path):
    process = start("run")
    wait_until(lambda: heard.progress, process)
    began = time.monotonic()
    process.cancel()
    assert time.monotonic() - began < 0.5
    process.wait(20)
    with pytest.raises(Cancelled, match="Stopped after step 25 of 100"):
        raise heard.errors[0]
    assert (tmp_path / "out" / "checkpoints" / "last.pt").is_file()


def test_a_training_that_does_not_stop_is_ended_when_asked_again(start, heard):
    process = start("deaf")
    wait_until(lambda: heard.progress, process)
    process.cancel()
    assert process.process.stopping and process.task.stopping
    process.cancel()
    process.wait(20)
    with pytest.raises(Cancelled, match="Ended at once"):
        raise heard.errors[0]
    assert not is_running(process.pid)


def test_a_training_that_does_not_stop_is_ended_after_a_while(start, heard):
    process = start("deaf", stopping_s=0.2)
    wait_until(lambda: heard.progress, process)
    process.cancel()
    process.wait(20)
    assert isinstance(heard.errors[0], Cancelled)


def test_there_is_one_answer_only(start, heard):
    process = start("finish")
    process.wait(20)
    process.cancel()
    process.kill()
    process.poll()
    assert len(heard.lines) == 1 and not heard.errors


def test_a_command_that_cannot_be_started(tmp_path):
    with pytest.raises(WorkerError, match="could not be started"):
        ChildProcess([str(tmp_path / "nothing")])


def test_a_command_has_a_time_limit():
    process = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], saves=False, limit_s=0.2)
    wait_until(process.poll)
    with pytest.raises(Cancelled):
        process.result()


def test_a_command_that_saves_nothing_is_ended_at_once():
    process = ChildProcess([sys.executable, "-c", "import time; time.sleep(600)"], saves=False)
    process.cancel()
    wait_until(process.poll)


_PARENT = """
import os, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from VoxelMorphLib.bridge.background.child_process import ChildProcess, train_command
process = ChildProcess([*train_command(), *{arguments!r}], environment={{"OMP_NUM_THREADS": "1"}})
while not Path({curves!r}).is_file():
    assert not process.poll(), "ended early"
    time.sleep(0.02)
print(process.pid, flush=True)
os._exit(1)
"""


@pytest.mark.slow
def test_a_real_training_saves_and_ends_when_its_parent_dies(tmp_path):
    write_scans(tmp_path, 3)
    words = ["--epochs=100000", "--stepsPerEpoch=1", "--saveEvery=100000", "--encoder=4,8", "--decoder=8,8,4"]
    words += [f"--imageList={tmp_path / 'images'}", f"--outputDir={tmp_path / 'out'}", "--device=cpu"]
    curves = str(tmp_path / "out" / "curves.csv")
    code = _PARENT.format(paths=[str(LIBRARY_FOLDER)], arguments=words, curves=curves)
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert parent.stdout.strip().isdigit(), parent.stderr
    wait_until(lambda: not is_running(int(parent.stdout)), timeout_s=200)
    assert (tmp_path / "out" / "checkpoints" / "last.pt").is_file()
