"""Two processes that average their gradients train like one with batches twice as large."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support import failing_training, tiny_training
from support.tiny_training import TinyConfig, tiny_trainer
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training import launch
from VoxelMorphLib.training.checkpoint import load_checkpoint
from VoxelMorphLib.training.launch import launched, start_fabric
from VoxelMorphLib.training.monitors.curves import read_curves

ROOT = Path(__file__).resolve().parents[2]
THREADS = Path("/proc/self/task")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that knows library and tests."""
    path = os.pathsep.join([str(ROOT / "VoxelMorphSlicer"), str(ROOT / "Testing")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def torchrun(config, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Train with several processes on this machine."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return run_python(*launcher, tiny_training.__file__, json.dumps(config.to_dict()))


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no processes")
def test_two_processes_train_like_one_with_twice_the_batch(a_config):
    two = a_config("two", epochs=1, steps_per_epoch=5, accumulate=2, ema=0.5)
    result = torchrun(two)
    assert result.returncode == 0, result.stderr
    assert "arning" not in result.stderr and "Initializing" not in result.stderr
    one = tiny_trainer(replace(two, output_dir=a_config("one").output_dir, batch_size=2), curves=True)
    one.run()
    row, expected = (read_curves(Path(folder) / "curves.csv")[0] for folder in (two.output_dir, one.folder))
    assert list(row) == list(expected)
    for name in set(row) - {"seconds"}:
        assert row[name] == pytest.approx(expected[name], abs=1e-5), name
    checkpoint = load_checkpoint(Path(two.output_dir) / "checkpoints" / "last.pt")
    for part, weights in (("network", one.task.network), ("ema", one.optimisation.network)):
        for name, tensor in weights.state_dict().items():
            assert torch.allclose(checkpoint[part][name], tensor, atol=1e-5), name


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no processes")
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("loading 0", "b.nii.gz cannot be read. Copy it again."),
        ("loading 1", "b.nii.gz cannot be read. Copy it again."),
        ("checkpoint", "No space left for last.pt. Free some space."),
    ],
)
def test_a_process_that_fails_ends_the_others_and_one_sentence_says_why(a_config, fault, sentence):
    result = run_python(failing_training.__file__, fault, json.dumps(a_config(devices=2, epochs=100).to_dict()))
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    errors = sorted(line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert len(errors) == 2
    assert f"Error: {sentence}" in errors
    assert any(line.startswith("Error: Another process of this training has failed") for line in errors)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no processes")
def test_a_stopped_training_of_several_processes_finishes_its_page(a_config):
    config = a_config(devices=2, epochs=100)
    result = run_python(failing_training.__file__, "stopped", json.dumps(config.to_dict()))
    assert result.returncode == 130, result.stderr
    assert result.stderr.count("Stopped after step 20 of 400") == 2
    assert (Path(config.output_dir) / failing_training.PAGE).is_file()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no processes")
def test_processes_that_wait_for_one_that_has_failed_are_ended(group_of_one, monkeypatch):
    monkeypatch.setattr(launch, "GRACE_S", 0.1)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    group_of_one.append(child)
    with pytest.raises(ValueError, match="a fault"), launched(TinyConfig()):
        raise ValueError("a fault")
    assert child.wait(10) != 0
    assert group_of_one == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no processes")
@pytest.mark.skipif(not THREADS.is_dir(), reason="this system does not list the threads of a process")
@pytest.mark.parametrize("error", [None, ValueError("a fault")], ids=["finished", "failed"])
def test_no_thread_of_the_process_group_outlives_the_training(error, group_of_one):
    try:
        with launched(TinyConfig()):
            average_and(error)
    except ValueError as raised:
        assert raised is error
    assert not torch.distributed.is_initialized()
    assert not threads_of_gloo()


def threads_of_gloo() -> list[str]:
    """Names of the threads of this process that carry out what the group is asked for."""
    names = [(thread / "comm").read_text(encoding="utf-8").strip() for thread in THREADS.iterdir()]
    return [name for name in names if "gloo_run" in name]


def average_and(error: Exception | None) -> None:
    """Average gradients by a network that is part of a cycle, and raise what is asked for."""
    network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    network.itself = (network,)
    network(torch.ones(1, 2)).sum().backward()
    assert threads_of_gloo()  # not before: they give themselves their name once they run
    if error is not None:
        raise error


@pytest.fixture
def group_of_one(tmp_path, monkeypatch):
    """Lets a Fabric of two processes start with this one alone; returns the list of the processes it started."""
    launch._fabric_class()  # brings the parts of torch that keep a group for ever if it is there before them

    def start(_config):
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
        return SimpleNamespace(world_size=2, strategy=SimpleNamespace(launcher=SimpleNamespace(procs=started)))

    started: list[subprocess.Popen] = []
    monkeypatch.setattr(launch, "start_fabric", start)
    return started


def test_processes_that_do_not_fit_the_configuration_are_refused(a_config, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="torchrun started 2 processes, but devices is 3"):
        start_fabric(a_config(devices=3))


@pytest.fixture
def a_step_of_srun(monkeypatch):
    """Makes this process one of those that srun started, as its environment tells."""

    def make(tasks: int, nodes: int = 1, **others: str) -> None:
        job = {"STEP_NUM_TASKS": tasks, "STEP_NUM_NODES": nodes, "NTASKS": tasks, "NNODES": nodes, "JOB_NAME": "train"}
        place = {"NTASKS_PER_NODE": tasks // nodes, "PROCID": 0, "NODEID": 0, "LOCALID": 0, "JOB_ID": 1}
        for name, value in {**job, **place, **others}.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))

    return make


def test_a_job_that_does_not_fit_the_configuration_is_refused(a_config, a_step_of_srun, monkeypatch):
    a_step_of_srun(2)
    with pytest.raises(ConfigError, match="srun started 2 processes, but devices is 3"):
        start_fabric(a_config(devices=3))
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    with pytest.raises(ConfigError, match=r"3 cpu device.* could not start"):
        start_fabric(a_config(devices=3))


@pytest.mark.parametrize(("tasks", "nodes"), [(4, 1), (4, 2), (1, 1)])
def test_the_processes_of_a_job_train_together(a_config, a_step_of_srun, monkeypatch, tasks, nodes):
    a_step_of_srun(tasks, nodes)
    asked = {}

    def a_fabric(**values):
        asked.update(values)
        return SimpleNamespace(launch=lambda: None)

    monkeypatch.setattr(launch, "_fabric_class", lambda: a_fabric)
    start_fabric(a_config())
    assert (asked["devices"], asked["num_nodes"]) == (tasks // nodes, nodes)


@pytest.mark.parametrize(
    ("tasks", "nodes", "name", "reason"),
    [
        (4, 1, "interactive", "job named 'interactive'.* Set .*SLURM_JOB_NAME"),
        (5, 2, "train", "the same number on each"),
    ],
)
def test_processes_of_a_job_that_would_train_apart_are_refused(a_config, a_step_of_srun, tasks, nodes, name, reason):
    a_step_of_srun(tasks, nodes, JOB_NAME=name)
    with pytest.raises(ConfigError, match=reason):
        start_fabric(a_config())
