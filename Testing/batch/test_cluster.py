"""Workers of Dask do rows as processes do; what is missing or does not answer is one sentence."""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from VoxelMorphLib.batch import cluster
from VoxelMorphLib.batch.cluster import Cluster, check_cluster
from VoxelMorphLib.batch.options import BatchOptions
from VoxelMorphLib.batch.pairs import Common
from VoxelMorphLib.batch.processor import Settings
from VoxelMorphLib.batch.run import run_batch
from VoxelMorphLib.batch.table_pairs import TablePairs
from VoxelMorphLib.core.errors import ConfigError, DependencyError

WORK = "support.batch_work:process"


@pytest.fixture
def a_batch(tmp_path, monkeypatch):
    """Run rows of these models on a cluster; gives the summary."""
    pytest.importorskip("distributed", reason="Dask is not installed")
    testing = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([testing, os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "a.nii").write_bytes(b"x")

    def run(where, models, work=WORK):
        lines = [f"a.nii,a.nii,row{number},{model}" for number, model in enumerate(models, start=1)]
        (tmp_path / "pairs.csv").write_text("\n".join(["fixed,moving,id,model", *lines]))
        settings = Settings(tmp_path / "out", BatchOptions())
        return run_batch(
            TablePairs(tmp_path / "pairs.csv", Common()), tmp_path / "out", partial(Cluster, where, settings, work)
        )

    return run


@pytest.mark.slow
def test_rows_of_a_lost_worker_run_again_and_one_that_ends_all_is_given_up(a_batch, tmp_path):
    summary = a_batch("local:2", ["", "crash once", *[""] * 8, "crash"])
    counts = summary.counts  # a row whose worker was lost after it was done is unchanged
    assert (counts["done"] + counts["unchanged"], counts["failed"]) == (10, 1)
    assert "were lost several times" in summary.worst()[0].sentence
    assert dict(a_batch("local:1", [""] * 3).counts) == {"unchanged": 2, "done": 1}


@pytest.mark.slow
def test_a_library_that_the_workers_cannot_load_stops_the_batch(a_batch):
    with pytest.raises(DependencyError, match=r"The workers of Dask cannot load VoxelMorphLib .*no_such_module"):
        a_batch("local:1", [""], "no_such_module:process")


def test_a_scheduler_that_does_not_answer_is_told_within_seconds(a_batch, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_S", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes the call and never says a word
        began = time.monotonic()
        with pytest.raises(ConfigError, match=r"No Dask scheduler answers at 127.0.0.1:\d+ \(.+\)\. Check the address"):
            a_batch(f"127.0.0.1:{silent.getsockname()[1]}", [""])
        assert time.monotonic() - began < 10
    with pytest.raises(ConfigError, match="No Dask scheduler answers at nonsense://x:1"):
        a_batch("nonsense://x:1", [""])


@pytest.mark.parametrize("where", ["local:", "local:0", "local:many", "local:-1"])
def test_a_number_of_processes_is_needed(monkeypatch, where):
    monkeypatch.setattr(cluster, "find_spec", lambda _name: True)
    with pytest.raises(ConfigError, match="names no number of processes"):
        check_cluster(where)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="needs the package distributed, which is not installed"):
        check_cluster("local:2")
    monkeypatch.setattr(cluster, "find_spec", lambda name: name == "distributed" or None)
    with pytest.raises(DependencyError, match=r"--dask slurm needs the package dask-jobqueue.*use --workers"):
        check_cluster("slurm")
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    monkeypatch.setattr(cluster.shutil, "which", lambda _name: None)
    with pytest.raises(ConfigError, match="needs the program sbatch"):
        check_cluster("slurm")
    with pytest.raises(ConfigError, match="'somewhere' is no address"):
        check_cluster("somewhere")


SBATCH = """#!/bin/sh
for script; do :; done
sh "$script" > "{folder}/job.out" 2>&1 &
echo "Submitted batch job 1"
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SLURM runs on Linux")
def test_jobs_of_slurm_do_rows(a_batch, tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    (tmp_path / "bin").mkdir()
    for name, text in {"sbatch": SBATCH.format(folder=tmp_path), "scancel": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ConfigError, match=r"cannot send jobs to SLURM \(.*cores.*\)\. Write cores, memory and queue"):
        a_batch("slurm", [""])
    import dask

    with dask.config.set({"jobqueue.slurm.cores": 1, "jobqueue.slurm.memory": "1GB"}):
        assert dict(a_batch("slurm", [""] * 3).counts) == {"done": 3}
    assert (tmp_path / "job.out").exists()
