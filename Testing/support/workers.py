"""Small jobs for the worker process, stand-ins for it that misbehave, and whether a process is still there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from VoxelMorphLib.bridge.background.worker import Job, WorkerClient
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model
from VoxelMorphLib.worker.protocol import PROTOCOL

from .few_steps import IN_WORKER
from .tiny_networks import TINY, a_dense
from .volumes import a_blob_image, a_geometry

ONE_THREAD = {"OMP_NUM_THREADS": "1"}

_FAKE = (
    f"PROTOCOL = {PROTOCOL}"
    + """
import json, os, subprocess, sys, time
folder = sys.argv[sys.argv.index("--folder") + 1]
def send(**message):
    print(json.dumps(message), flush=True)
def hello(protocol=PROTOCOL):
    send(type="hello", protocol=protocol, pid=os.getpid())
def request():
    return json.loads(sys.stdin.readline())
def progress(job, text):
    send(type="progress", job=job, fraction=0.5, text=text)
"""
)


#: Bodies for `fake_command`: greet, accept a job and say so; then sleep.
ACCEPTING = "hello()\njob = request()['job']\nprogress(job, 'working')\n"
SLEEPING = ACCEPTING + "time.sleep(600)\n"


def fake_command(body: str) -> list[str]:
    """A process that speaks the protocol by the helpers above, in whatever wrong way `body` says."""
    return [sys.executable, "-c", _FAKE + body]


def patched_command(code: str) -> list[str]:
    """The real worker after `code` has changed something in its process."""
    return [sys.executable, "-c", f"from VoxelMorphLib.worker import child as worker\n{code}\nworker.main()"]


def a_job(seconds: float = 1, affine: str = "none", **changes) -> RegistrationRequest:
    """Two views of the same blobs on different grids, to be optimised within `seconds`."""
    fixed, moving = (a_blob_image(a_geometry(name, (20, 18, 16))) for name in ("oblique", "LPS"))
    options = RegistrationOptions(affine=affine, budget_s=seconds, device="cpu")
    return RegistrationRequest(**{"fixed": fixed, "moving": moving, "model": "optimise", "options": options, **changes})


def an_endless_job(affine: str = "affine") -> RegistrationRequest:
    """A job that only its cancellation ends in time."""
    fixed, moving = (a_blob_image(a_geometry(name, (64, 64, 64), 0.6)) for name in ("oblique", "LPS"))
    options = RegistrationOptions(affine=affine, budget_s=3600, device="cpu")
    return RegistrationRequest(fixed, moving, "optimise", options)


def write_tiny_network(path: Path, seed: int = 0) -> Path:
    """A dense network of random weights in a file."""
    entry = ModelEntry(
        "tiny", "Tiny", "Random weights.", "VxmDense", {"features": TINY}, path.name, format="safetensors"
    )
    write_model(a_dense(seed=seed), entry, path)
    return path


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended counts as gone even before its parent has noticed."""
    status = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(condition: Callable[[], object], seconds: float = 30.0, client: WorkerClient | None = None) -> None:
    """Poll `client` until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {seconds} s"
        if client is not None:
            client.poll()
        time.sleep(0.01)


class Outcome:
    """A submitted job and everything that was called back for it."""

    def __init__(self, client: WorkerClient, job: RegistrationRequest):
        self.client, self.progress, self.calls = client, [], []
        self.handle: Job = client.submit(
            job, lambda *report: self.progress.append(report), self.calls.append, self.calls.append
        )

    def reached(self, text: str) -> bool:
        """Whether a report of progress began with `text`."""
        return any(report[1].startswith(text) for report in self.progress)

    def wait(self, seconds: float = 60.0) -> object:
        """The one thing that the job ended with."""
        wait_until(lambda: self.calls, seconds, self.client)
        assert len(self.calls) == 1
        return self.calls[0]


@pytest.fixture
def new_client(tmp_path: Path) -> Iterator[Callable[..., WorkerClient]]:
    """Makes clients, and checks at the end that nothing is left of them; optimisations take a few steps."""
    clients = []

    def make(**options) -> WorkerClient:
        usual = {"command": patched_command(IN_WORKER), "environment": ONE_THREAD, "temporary_folder": tmp_path}
        clients.append(WorkerClient(**{**usual, **options}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
        assert client.pid is None and not client.busy
    assert list(tmp_path.iterdir()) == []
