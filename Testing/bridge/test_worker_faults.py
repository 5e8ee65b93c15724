"""What goes wrong with worker processes: each gives one sentence, leaves nothing behind, and the next job works."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.workers import (
    ONE_THREAD,
    Outcome,
    a_job,
    an_endless_job,
    fake_command,
    is_alive,
    patched_command,
    wait_until,
)
from VoxelMorphLib.bridge import worker_process
from VoxelMorphLib.bridge.worker import WorkerClient
from VoxelMorphLib.bridge.worker_process import LIBRARY_FOLDER
from VoxelMorphLib.core.errors import Cancelled, DependencyError, OutputError, WorkerError
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.registration.result import Registration

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")

#: A worker that greets, accepts a job and says so.
ACCEPTING = "hello()\njob = request()['job']\nprogress(job, 'working')\n"
SLEEPING = ACCEPTING + "time.sleep(600)\n"


@pytest.fixture
def new_client(tmp_path):
    """Makes clients, and checks at the end that nothing is left of them."""
    clients = []

    def make(**options) -> WorkerClient:
        options = {"environment": ONE_THREAD, "temporary_folder": tmp_path, **options}
        clients.append(WorkerClient(**options))
        return clients[-1]

    yield make
    for client in clients:
        client.shutdown()
        assert client.pid is None and not client.busy
    assert list(tmp_path.iterdir()) == []


def failure(client: WorkerClient, kind: type = WorkerError) -> Exception:
    """The error of one job, of exactly this class."""
    error = Outcome(client, a_job()).wait(20)
    assert type(error) is kind
    return error


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


def test_a_worker_that_stops_answering_is_ended(new_client):
    client = new_client()
    outcome = Outcome(client, an_endless_job())
    wait_until(lambda: outcome.reached("Aligning"), client=client)
    client.silence_s, pid = 2, client.pid
    os.kill(pid, signal.SIGSTOP)
    error = outcome.wait(20)
    assert str(error) == "The worker process has not answered for 2 s and was ended. Register again."
    wait_until(lambda: not is_alive(pid))


def test_a_worker_that_never_greets_is_ended(new_client):
    assert "has not answered for 0.5 s" in str(
        failure(new_client(command=fake_command("time.sleep(600)"), silence_s=0.5))
    )


def test_signs_of_life_keep_a_slow_worker(new_client):
    body = ACCEPTING + "for _ in range(15):\n    time.sleep(0.1)\n    send(type='alive')\nsys.exit(3)"
    assert "exit code 3" in str(failure(new_client(command=fake_command(body), silence_s=0.7)))


def test_time_in_which_nobody_polls_is_no_silence(new_client):
    client = new_client(command=fake_command(SLEEPING), silence_s=1.5)
    outcome = Outcome(client, a_job())
    wait_until(lambda: outcome.progress, client=client)
    time.sleep(2.0)
    client.poll()
    client.poll()
    assert outcome.calls == []
    assert "has not answered for 1.5 s" in str(outcome.wait())


@pytest.mark.parametrize("stage", ["", "Loading", "Aligning", "Optimising"])
def test_cancelling_works_in_every_stage(new_client, tmp_path, stage):
    client = new_client()
    outcome = Outcome(client, an_endless_job("none" if stage == "Optimising" else "affine"))
    pid = client.pid
    wait_until(lambda: not stage or outcome.reached(stage), client=client)
    began = time.monotonic()
    client.cancel(outcome.handle)
    assert time.monotonic() - began < 0.2
    error = outcome.wait()
    assert type(error) is Cancelled
    assert str(error) == "The registration was cancelled; nothing was changed."
    wait_until(lambda: not is_alive(pid))
    wait_until(lambda: not list(tmp_path.iterdir()))
    assert not client.busy


def test_a_cancelled_job_makes_room_for_the_next(new_client):
    client = new_client()
    first, second = Outcome(client, an_endless_job()), Outcome(client, a_job())
    wait_until(lambda: first.reached("Loading"), client=client)
    client.cancel(first.handle)
    assert isinstance(second.wait(), Registration)
    assert isinstance(first.calls[0], Cancelled)


def test_progress_may_cancel(new_client):
    def refuse(_fraction, _text):
        raise Cancelled("by the widget")

    client = new_client(command=fake_command(SLEEPING))
    with pytest.raises(Cancelled, match="by the widget"):
        client.run(a_job(), refuse)
    assert not client.busy


def test_children_of_the_worker_are_ended_too(new_client):
    body = "child = subprocess.Popen(['sleep', '600'])\n" + ACCEPTING.replace("'working'", "str(child.pid)")
    client = new_client(command=fake_command(body + "time.sleep(600)"))
    outcome = Outcome(client, a_job())
    wait_until(lambda: outcome.progress, client=client)
    child = int(outcome.progress[0][1])
    assert is_alive(child)
    client.cancel(outcome.handle)
    wait_until(lambda: not is_alive(child))


def test_children_of_a_crashed_worker_are_ended_too(new_client):
    body = "child = subprocess.Popen(['sleep', '600'])\n" + ACCEPTING.replace("'working'", "str(child.pid)")
    client = new_client(command=fake_command(body + "time.sleep(0.3)\nos._exit(1)"))
    outcome = Outcome(client, a_job())
    assert "exit code 1" in str(outcome.wait())
    child = int(outcome.progress[0][1])
    wait_until(lambda: not is_alive(child))


@pytest.mark.parametrize("busy", [True, False])
def test_shutdown_leaves_no_process_and_calls_nobody(new_client, tmp_path, busy):
    client = new_client()
    outcome = Outcome(client, an_endless_job() if busy else a_job())
    wait_until(lambda: outcome.reached("Loading") if busy else outcome.calls, client=client)
    waiting, pid, calls = Outcome(client, a_job()), client.pid, list(outcome.calls)
    client.shutdown()
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []
    client.poll()
    assert (outcome.calls, waiting.calls, client.busy) == (calls, [], False)


def test_shutdown_in_a_callback_ends_the_waiting(new_client):
    client = new_client(command=fake_command(SLEEPING))
    with pytest.raises(Cancelled, match="was shut down before the registration was done"):
        client.run(a_job(), lambda *_report: client.shutdown())


def test_a_forgotten_client_takes_its_process_along(tmp_path):
    client = WorkerClient(fake_command("hello()\ntime.sleep(600)"), temporary_folder=tmp_path)
    client.submit(a_job())
    pid = client.pid
    del client
    gc.collect()
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []


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
    client = new_client(command=fake_command(ACCEPTING + "send(type='result', job=job, seconds={})\ntime.sleep(600)"))
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
    assert len(error.details) == worker_process.STDERR_BYTES
    assert error.details.endswith("the end")
    assert len(str(error)) < 500


def test_a_worker_of_another_version_is_refused(new_client):
    client = new_client(command=fake_command("hello(99)\ntime.sleep(600)"))
    with pytest.raises(WorkerError, match=r"speaks version 99 of the protocol, this one 1\. Restart Slicer"):
        client.run(a_job(), silent, 20)


def test_time_that_is_up_stops_the_job(new_client):
    client = new_client(command=fake_command(SLEEPING))
    with pytest.raises(WorkerError, match=r"stopped because it took more than 0\.3 s"):
        client.run(a_job(), timeout_s=0.3)
    assert not client.busy


def test_an_idle_worker_ends_by_itself_and_the_next_job_starts_another(new_client, tmp_path):
    client = new_client(idle_s=0.5)
    client.run(a_job())
    pid = client.pid
    wait_until(lambda: not is_alive(pid))
    wait_until(lambda: not list(tmp_path.iterdir()))
    assert isinstance(client.run(a_job()), Registration)


def test_a_job_sent_to_a_worker_that_is_just_leaving_is_sent_again(new_client, tmp_path):
    body = f"""
import pathlib
count = pathlib.Path({str(tmp_path)!r}, 'count')
def refuse(text):
    values = dict(text=text, restart_required=False, details='')
    send(**{{'type': 'error', 'job': request()['job'], 'class': 'ImageError', **values}})
hello()
if not count.exists():
    count.touch()
    refuse('first')
    request()
    sys.exit(0)
count.unlink()
refuse('second')
time.sleep(600)
"""
    client = new_client(command=fake_command(body))
    assert [str(Outcome(client, a_job()).wait()) for _attempt in range(2)] == ["first", "second"]


def test_a_job_for_a_worker_that_has_cleared_up_is_sent_again(new_client, tmp_path):
    client = new_client()
    client.run(a_job())
    pid = client.pid
    [folder] = tmp_path.iterdir()
    shutil.rmtree(folder)
    assert isinstance(client.run(a_job()), Registration)
    assert client.pid != pid


def test_a_full_disk_is_told_before_anything_is_sent(new_client, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    client = new_client(command=fake_command("hello()\nprogress(request()['job'], 'working')"))
    monkeypatch.setattr(worker_process, "write_job", full)
    assert "cannot be used (No space left on device). Free some space" in str(failure(client, OutputError))


def test_a_job_that_cannot_be_sent_is_told(new_client, monkeypatch):
    monkeypatch.setattr(worker_process, "write_job", lambda *_arguments: 1 / 0)
    message = str(failure(new_client(command=fake_command("hello()\ntime.sleep(600)"))))
    assert message.startswith("The job cannot be sent to the worker (ZeroDivisionError: division by zero).")


def test_too_little_space_is_told_before_anything_is_written(new_client, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    message = str(failure(new_client(command=fake_command("hello()\ntime.sleep(600)")), OutputError))
    assert "has 0 MB left, but the registration needs about 0 MB" in message


def test_a_folder_that_cannot_be_made(new_client, tmp_path):
    client = new_client(temporary_folder=tmp_path / "missing")
    assert "missing cannot be used (No such file or directory)" in str(failure(client, OutputError))


def test_a_disk_that_fills_up_while_the_result_is_written(new_client):
    code = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    client = new_client(command=patched_command(code + "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))"))
    error = Outcome(client, a_job()).wait()
    assert type(error) is OutputError
    assert "cannot be used" in str(error)


def test_prints_of_libraries_do_not_reach_the_protocol(new_client):
    code = """
import os, subprocess, sys
read = worker.read_job
def noisy(folder):
    print('{"type": "error"}', flush=True)
    os.write(1, b'noise of a C library')
    subprocess.run([sys.executable, "-c", "import sys; print('child reads', sys.stdin.read(1))"])
    return read(folder)
worker.read_job = noisy
"""
    client = new_client(command=patched_command(code))
    assert isinstance(Outcome(client, a_job()).wait(), Registration)
    words = client._process.last_words
    assert '{"type": "error"}' in words and "noise of a C library" in words and "child reads" in words


def test_a_fault_of_ours_is_told_and_the_process_replaced(new_client):
    client = new_client(command=patched_command("worker.read_job = lambda folder: 1 / 0"))
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
    assert type(error) is DependencyError
    assert "PyTorch or a library that it needs cannot be loaded" in str(error)
    assert "Install PyTorch in the module PyTorch Utils" in str(error)


_PARENT = """
import sys, time
sys.path[:0] = [{library!r}, {testing!r}]
from support.workers import ONE_THREAD, Outcome, an_endless_job, a_job, wait_until
from VoxelMorphLib.bridge.worker import WorkerClient
client = WorkerClient(environment=ONE_THREAD, temporary_folder={folder!r})
outcome = Outcome(client, an_endless_job())
wait_until(lambda: outcome.reached({stage!r}), client=client)
print(client.pid, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("stage", "end"), [("Loading", "time.sleep(600)"), ("Aligning", "time.sleep(600)"), ("Loading", "")]
)
def test_nothing_outlives_the_application(tmp_path, stage, end):
    """Killed in the middle of a job, or ended without a word."""
    testing = LIBRARY_FOLDER.parent / "Testing"
    code = _PARENT.format(library=str(LIBRARY_FOLDER), testing=str(testing), folder=str(tmp_path), stage=stage, end=end)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        if end:
            assert is_alive(pid) and list(tmp_path.iterdir())
            parent.kill()
    wait_until(lambda: not is_alive(pid))
    wait_until(lambda: not list(tmp_path.iterdir()))
