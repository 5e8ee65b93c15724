"""Ctrl-C and SIGTERM end a command with 130 wherever they meet it; output that nobody reads ends it quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.imports import LIBRARY
from VoxelMorphLib.cli.common import ConsoleProgress, complain, run, say
from VoxelMorphLib.cli.interrupts import current
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.io import scratch
from VoxelMorphLib.core.io.files import replacing

SCRIPT = LIBRARY.parent / "CLI" / "VoxelMorphRegister.py"


@pytest.fixture(autouse=True)
def signals_are_heard():
    """Also where the tests run in the background, which ignores Ctrl-C, as commands do then."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


class Finaliser:
    """Python drops what is raised while it is collected."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


def at_once(number):
    signal.raise_signal(number)


def taken_for_bad_input(number):
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt as error:  # as SimpleITK does with what a callback raises
        raise GeometryError("The affine start lost the overlap.") from error


def lost_before_the_end(number):
    Finaliser(number)
    current().finish()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", [at_once, taken_for_bad_input, lost_before_the_end])
def test_every_interrupt_is_130_and_leaves_nothing(tmp_path, capsys, number, work):
    def command(_argv):
        with replacing(tmp_path / "out.txt") as path:
            path.write_text("half")
            work(number)

    assert run(command, []) == 130
    assert capsys.readouterr() == ("", "Stopped. Nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_lost_interrupt_is_heard_with_the_next_progress(capsys):
    def command(_argv):
        Finaliser(signal.SIGINT)
        ConsoleProgress("Command")(0.5, "Aligning")
        pytest.fail("went on")

    assert run(command, []) == 130
    assert capsys.readouterr() == ("", "Stopped. Nothing was written.\n")


def test_results_that_move_into_place_are_not_torn_apart(tmp_path, capsys):
    def command(_argv):
        with replacing(tmp_path / "out.txt") as path:
            path.write_text("whole")
            current().finish()
            signal.raise_signal(signal.SIGINT)

    assert run(command, []) == 130
    assert "everything was already done" in capsys.readouterr().err
    assert (tmp_path / "out.txt").read_text() == "whole"


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook
    assert run(lambda _argv: None, []) == 0
    assert ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook) == before


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run(lambda _argv: signal.raise_signal(signal.SIGTERM), []) == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def _dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_folders_of_dead_processes_are_removed_and_no_others(tmp_path):
    machine = scratch._machine()
    gone = tmp_path / f".voxelmorph-{machine}-{_dead_process()}-abc"
    kept = [
        tmp_path / f".voxelmorph-{machine}-{os.getppid()}-abc",
        tmp_path / f".voxelmorph-elsewhere-{_dead_process()}-abc",
        tmp_path / ".voxelmorph-notes",
        tmp_path / f"voxelmorph-{machine}-{_dead_process()}-abc",
    ]
    for folder in (gone, *kept):
        folder.mkdir()
        (folder / "file").write_text("x")
    with replacing(tmp_path / "out.txt") as path:
        path.write_text("x")
    assert {path.name for path in tmp_path.iterdir()} == {"out.txt", *(path.name for path in kept)}


def test_control_characters_are_escaped(capsys):
    say("a\x1b[2Jb\tc\nd", "ü")
    complain("\x9b31m\x07")
    assert capsys.readouterr() == ("a\\x1b[2Jb\tc\nd\nü\n", "\\x9b31m\\x07\n")


@pytest.mark.skipif(os.name == "nt", reason="a pipe of the POSIX shell")
@pytest.mark.parametrize("option", ["--listModels", "--help"])
def test_a_pipe_that_closes_early_ends_a_list_quietly(option):
    child = subprocess.Popen(
        [sys.executable, str(SCRIPT), option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_output_that_cannot_be_written_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(
            [sys.executable, str(SCRIPT), "--listModels"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert child.returncode == 2
    assert child.stderr.count("\n") == 1
    assert "What this command prints cannot be written (No space left on device)" in child.stderr
