"""Limits of the shell that no library could be loaded in are told in one sentence, before one of them is."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from VoxelMorphLib.cli import process_limits
from VoxelMorphLib.cli.process_limits import LEAST_ADDRESSES, check_process_limits

CLI = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "CLI"
COMMANDS = sorted(path.name for path in CLI.glob("*.py"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit, or ignore it")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("limit", [2 * 10**8, 10**9])
def test_too_little_memory_for_the_libraries(command, limit):
    import resource

    run = subprocess.run(
        [sys.executable, str(CLI / command), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("Error: This shell allows a process 0.") and run.stderr.count("\n") == 1
    assert "(ulimit -v), and the libraries need 1.5 GiB" in run.stderr


def test_no_second_thread(monkeypatch, capsys):
    def no_more(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(SystemExit) as ended:
        check_process_limits()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Error: This shell allows no further process or thread (ulimit -u).")


@pytest.mark.parametrize("limit", [None, LEAST_ADDRESSES])
def test_usual_limits_are_no_hindrance(monkeypatch, capsys, limit):
    monkeypatch.setattr(process_limits, "_address_limit", lambda: limit)
    check_process_limits()
    assert capsys.readouterr() == ("", "")
