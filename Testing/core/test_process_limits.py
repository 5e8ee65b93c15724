"""Limits of the shell that no library could be loaded in are told in one sentence, before one of them is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.imports import LIBRARY
from VoxelMorphLib.core import process_limits
from VoxelMorphLib.core.errors import DeviceError
from VoxelMorphLib.core.process_limits import LEAST_ADDRESSES, check_process_limits
from VoxelMorphLib.core.python_process import python_environment
from VoxelMorphLib.worker.protocol import decode, encode, error_of

CLI = LIBRARY.parent / "CLI"
COMMANDS = sorted(path.name for path in CLI.glob("*.py"))
TOO_LITTLE = "This process may have 0."

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit, or ignore it")


def run_within(limit: int, *command: str | Path, **options) -> subprocess.CompletedProcess:
    """Run Python with at most so many bytes of addresses."""
    import resource

    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        **options,
    )


@only_linux
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("limit", [2 * 10**8, 10**9])
def test_too_little_memory_for_the_libraries(command, limit):
    run = run_within(limit, CLI / command, "--help", text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"Error: {TOO_LITTLE}") and run.stderr.count("\n") == 1
    assert "(ulimit -v), and the libraries need 1.5 GiB" in run.stderr


@only_linux
def test_the_worker_says_so_too(tmp_path):
    folder = tmp_path / "jobs"
    folder.mkdir()
    job = encode({"type": "register", "job": 3, "folder": str(folder / "3")})
    environment = {**os.environ, **python_environment()}
    run = run_within(2 * 10**8, "-m", "VoxelMorphLib.worker.child", "--folder", folder, input=job, env=environment)
    hello, refused = map(decode, run.stdout.splitlines())
    assert (hello["type"], refused["job"], run.stderr) == ("hello", 3, b"")
    error = error_of(refused)
    assert isinstance(error, DeviceError) and str(error).startswith(TOO_LITTLE)
    assert not folder.exists()


def test_no_second_thread(monkeypatch):
    def no_more(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(DeviceError, match=r"No further process or thread is allowed \(ulimit -u\)"):
        check_process_limits()


@pytest.mark.parametrize("limit", [None, LEAST_ADDRESSES])
def test_usual_limits_are_no_hindrance(monkeypatch, limit):
    monkeypatch.setattr(process_limits, "_address_limit", lambda: limit)
    check_process_limits()
