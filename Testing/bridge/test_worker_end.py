"""How worker processes end: cancelled, shut down, idle or without their application, and never leaving anything."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
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
    wait_until,
)
from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.errors import Cancelled, WorkerError
from VoxelMorphLib.registration.result import Registration

__all__ = ["new_client"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_behind_a_launcher_the_real_process_is_ended(new_client):
    launched = fake_command(ACCEPTING.replace("'working'", "str(os.getpid())") + "time.sleep(600)")
    client = new_client(command=["/bin/sh", "-c", '"$0" "$@"; exit $?', *launched])
    outcome = Outcome(client, a_job())
    wait_until(lambda: outcome.progress, client=client)
    real = int(outcome.progress[0][1])
    assert real != client.pid
    client.cancel(outcome.handle)
    wait_until(lambda: not is_alive(real))


@pytest.mark.slow
def test_children_of_a_crashed_worker_are_ended_too(new_client):
    body = "child = subprocess.Popen(['sleep', '600'])\n" + ACCEPTING.replace("'working'", "str(child.pid)")
    client = new_client(command=fake_command(body + "time.sleep(0.3)\nos._exit(1)"))
    outcome = Outcome(client, a_job())
    assert "exit code 1" in str(outcome.wait())
    child = int(outcome.progress[0][1])
    wait_until(lambda: not is_alive(child))


@pytest.mark.slow
@pytest.mark.parametrize("busy", [True, False])
def test_closing_leaves_no_process_and_calls_nobody(new_client, tmp_path, busy):
    client = new_client()
    outcome = Outcome(client, an_endless_job() if busy else a_job())
    wait_until(lambda: outcome.reached("Loading") if busy else outcome.calls, client=client)
    waiting, pid, calls = Outcome(client, a_job()), client.pid, list(outcome.calls)
    client.close()
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []
    client.poll()
    assert (outcome.calls, waiting.calls, client.busy) == (calls, [], False)


def test_closing_in_a_callback_ends_the_waiting(new_client):
    client = new_client(command=fake_command(SLEEPING))
    with pytest.raises(Cancelled, match="was closed before the registration was done"):
        client.run(a_job(), lambda *_report: client.close())


def test_a_job_that_is_closed_is_not_heard_of(new_client):
    client = new_client(command=fake_command(SLEEPING))
    outcome, pid = Outcome(client, a_job()), client.pid
    wait_until(lambda: outcome.progress, client=client)
    outcome.handle.close()
    client.poll()
    assert outcome.calls == [] and not client.busy
    wait_until(lambda: not is_alive(pid))


def test_who_waits_for_a_job_hears_that_its_worker_was_closed(new_client):
    client = new_client(command=fake_command(SLEEPING))
    job = client.submit(a_job())
    assert not job.poll()
    client.close()
    assert job.poll()
    with pytest.raises(Cancelled, match="was closed before the registration was done"):
        job.result()


@pytest.mark.slow
def test_a_forgotten_client_takes_its_process_along(tmp_path):
    client = WorkerClient(fake_command("hello()\ntime.sleep(600)"), temporary_folder=tmp_path, closing_s=0.2)
    client.submit(a_job())
    pid = client.pid
    del client
    gc.collect()
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_time_that_is_up_stops_the_job(new_client):
    client = new_client(command=fake_command(SLEEPING))
    with pytest.raises(WorkerError, match=r"stopped because it took more than 0\.3 s"):
        client.run(a_job(), timeout_s=0.3)
    assert not client.busy


@pytest.mark.slow
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
sys.stdin.read()
"""
    client = new_client(command=fake_command(body))
    assert [str(Outcome(client, a_job()).wait()) for _attempt in range(2)] == ["first", "second"]


@pytest.mark.slow
def test_a_job_for_a_worker_that_has_cleared_up_is_sent_again(new_client, tmp_path):
    client = new_client()
    client.run(a_job())
    pid = client.pid
    [folder] = tmp_path.iterdir()
    shutil.rmtree(folder)
    assert isinstance(client.run(a_job()), Registration)
    assert client.pid != pid


_PARENT = """
import sys, time
sys.path[:0] = [{library!r}, {testing!r}]
from support.workers import ONE_THREAD, Outcome, an_endless_job, a_job, wait_until
from VoxelMorphLib.bridge.background.worker import WorkerClient
client = WorkerClient(environment=ONE_THREAD, temporary_folder={folder!r})
outcome = Outcome(client, an_endless_job())
wait_until(lambda: outcome.reached({stage!r}), client=client)
print(client.pid, flush=True)
{end}
"""


@pytest.mark.slow
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
