"""What goes wrong with worker processes: each gives one sentence, and the next job works."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time

import pytest
from support.workers import (
    ACCEPTING,
    SLEEPING,
    Outcome,
    a_job,
    an_endless_job,
    fake_command,
    is_alive,
    new_client,
    patched_command,
    wait_until,
)
from VoxelMorphLib.bridge.background import exchange
from VoxelMorphLib.bridge.background.child_process import STDERR_BYTES
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.errors import OutputError, TorchLoadError, WorkerError
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.registration.result import Registration

__all__ = ["new_client"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")


def failure(client: WorkerClient, kind: type = WorkerError) -> Exception:
    """The error of one job, of exactly this class."""
    error = Outcome(client, a_job()).wait(20)
    assert type(error) is kind
    return error


@pytest.mark.slow
def test_a_killed_worker_is_told_with_its_signal_and_replaced(new_client):
    client = new_client()
    outcome = Outcome(client, an_endless_job())
    wait_until(lambda: outcome.reached("Aligning"), client=client)
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    error = outcome.wait()
    assert type(error) is WorkerError
    assert str(error).startswith("The worker process ended unexpectedly (signal 9, SIGKILL). The system may have")
    assert isinstance(client.run(a_job()), Registration)
    assert client.pid != pid


@pytest.mark.slow
def test_a_worker_that_stops_answering_is_ended(new_client):
    client = new_client()
    outcome = Outcome(client, an_endless_job())
    wait_until(lambda: outcome.reached("Aligning"), client=client)
    pid = client.pid
    os.kill(pid, signal.SIGSTOP)
    client.silence_s = 0.5
    error = outcome.wait(20)
    assert str(error) == "The worker process has not answered for 0.5 s and was ended. Register again."
    wait_until(lambda: not is_alive(pid))


@pytest.mark.slow
def test_a_worker_that_never_greets_is_ended(new_client):
    assert "has not answered for 0.5 s" in str(
        failure(new_client(command=fake_command("time.sleep(600)"), silence_s=0.5))
    )


@pytest.mark.slow
def test_signs_of_life_keep_a_slow_worker(new_client):
    body = ACCEPTING + "for _ in range(15):\n    time.sleep(0.1)\n    send(type='alive')\nsys.exit(3)"
    assert "exit code 3" in str(failure(new_client(command=fake_command(body), silence_s=0.7)))


@pytest.mark.slow
def test_time_in_which_nobody_polls_is_no_silence(new_client):
    client = new_client(command=fake_command(SLEEPING), silence_s=0.6, absence_s=0.25)
    outcome = Outcome(client, a_job())
    wait_until(lambda: outcome.progress, client=client)
    time.sleep(0.8)
    client.poll()
    client.poll()
    assert outcome.calls == []
    assert "has not answered for 0.6 s" in str(outcome.wait())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("print('garbage', flush=True)", r"sent 'garbage', which is no message, and was ended\. Register again"),
        ("print('{\"type\": 5}', flush=True)", "which is no message"),
        ("print('[1, 2]', flush=True)", "which is no message"),
        ("os.write(1, bytes(range(128, 256)) + b'\\n')", r"sent '\\\\x80\\\\x81.*which is no message"),
        ("os.write(1, b'x' * (3 << 20))", "sent 'xxxx.*which is no message"),
        ("os.write(1, b'[' * 100000 + b'\\n')", r"sent '\[\[\[.*which is no message"),
        ("send(type='progress', job=job)", r"incomplete message \(KeyError: 'fraction'\) and was ended"),
        ("send(type='progress', job=job, fraction=[], text='')", r"incomplete message \(TypeError"),
        ("send(type='error', job=job)", r"incomplete message \(KeyError: 'class'\)"),
    ],
)
def test_a_line_that_is_no_message_ends_the_worker(new_client, line, message):
    client = new_client(command=fake_command(ACCEPTING + line + "\ntime.sleep(600)"))
    outcome = Outcome(client, a_job())
    pid = client.pid
    with pytest.raises(WorkerError, match=message):
        raise outcome.wait(20)
    wait_until(lambda: not is_alive(pid))


def test_a_result_without_files_is_an_error(new_client):
    client = new_client(command=fake_command(ACCEPTING + "send(type='result', job=job, seconds={})\nsys.stdin.read()"))
    assert "cannot be used (No such file or directory)" in str(failure(client, OutputError))


def test_a_command_that_does_not_exist(new_client):
    client = new_client(command=["/no/such/python"])
    assert str(failure(client)) == (
        "The worker process /no/such/python could not be started (No such file or directory). "
        "Reinstall the extension or Slicer."
    )


def test_a_worker_that_crashes_at_its_start(new_client):
    body = "sys.stderr.write('first\\nno module named so and so')\nsys.exit(7)"
    client = new_client(command=fake_command(body))
    for _attempt in range(2):
        error = failure(client)
        assert "(exit code 7)" in str(error)
        assert str(error).endswith("Its last words: no module named so and so")
        assert error.details == "first\nno module named so and so"


def test_only_the_end_of_the_standard_error_is_kept(new_client):
    body = "sys.stderr.write('x' * 5000000 + 'the end')\nsys.stderr.flush()\nsys.exit(1)"
    error = failure(new_client(command=fake_command(body)))
    assert len(error.details) == STDERR_BYTES
    assert error.details.endswith("the end")
    assert len(str(error)) < 500


def test_a_worker_of_another_version_is_refused(new_client):
    client = new_client(command=fake_command("hello(99)\ntime.sleep(600)"))
    with pytest.raises(WorkerError, match=r"speaks version 99 of the protocol, this one \d+\. Restart Slicer"):
        client.run(a_job(), silent, 20)


def test_a_full_disk_is_told_before_anything_is_sent(new_client, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    client = new_client(command=fake_command("hello()\nprogress(request()['job'], 'working')"))
    monkeypatch.setattr(exchange, "write_request", full)
    assert "cannot be used (No space left on device). Free some space" in str(failure(client, OutputError))


@pytest.mark.slow
def test_a_job_that_cannot_be_sent_is_told(new_client, monkeypatch):
    monkeypatch.setattr(exchange, "write_request", lambda *_arguments: 1 / 0)
    message = str(failure(new_client(command=fake_command("hello()\ntime.sleep(600)"))))
    assert message.startswith("The job cannot be sent to the worker (ZeroDivisionError: division by zero).")


def test_too_little_space_is_told_before_anything_is_written(new_client, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    message = str(failure(new_client(command=fake_command("hello()\nsys.stdin.read()")), OutputError))
    assert "has 0 MB left, but the registration needs about 0 MB" in message


def test_a_folder_that_cannot_be_made(new_client, tmp_path):
    client = new_client(temporary_folder=tmp_path / "missing")
    assert "missing cannot be used (No such file or directory)" in str(failure(client, OutputError))


@pytest.mark.slow
def test_a_disk_that_fills_up_while_the_result_is_written(new_client):
    code = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    client = new_client(command=patched_command(code + "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))"))
    error = Outcome(client, a_job()).wait()
    assert type(error) is OutputError
    assert "cannot be used" in str(error)


@pytest.mark.slow
def test_prints_of_libraries_do_not_reach_the_protocol(new_client):
    code = """
import os, subprocess, sys
from VoxelMorphLib.worker import files
read = files.read_request
def noisy(folder):
    print('{"type": "error"}', flush=True)
    os.write(1, b'noise of a C library')
    subprocess.run([sys.executable, "-c", "import sys; print('child reads', sys.stdin.read(1))"])
    return read(folder)
files.read_request = noisy
"""
    client = new_client(command=patched_command(code))
    assert isinstance(Outcome(client, a_job()).wait(), Registration)
    words = client._process.last_words
    assert '{"type": "error"}' in words and "noise of a C library" in words and "child reads" in words


@pytest.mark.slow
def test_a_fault_of_ours_is_told_and_the_process_replaced(new_client):
    client = new_client(
        command=patched_command("from VoxelMorphLib.worker import files\nfiles.read_request = lambda folder: 1 / 0")
    )
    outcome = Outcome(client, a_job())
    pid = client.pid
    error = outcome.wait()
    assert str(error) == (
        "The registration failed by a fault of VoxelMorph (ZeroDivisionError: division by zero). Please report it."
    )
    assert "Traceback" in error.details
    wait_until(lambda: not is_alive(pid))


def test_a_missing_torch_is_told(new_client):
    client = new_client(command=patched_command("import sys; sys.modules['torch'] = None"))
    error = Outcome(client, a_job()).wait()
    assert type(error) is TorchLoadError
    assert "PyTorch or a library that it needs cannot be loaded" in str(error)
    assert "Install PyTorch in the module PyTorch Utils" in str(error)
