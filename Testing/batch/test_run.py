"""A batch keeps what is done, whatever ends it, and puts everything into one table and one page."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from VoxelMorphLib.batch import pool
from VoxelMorphLib.batch.options import BatchOptions
from VoxelMorphLib.batch.pairs import Common
from VoxelMorphLib.batch.pool import Pool
from VoxelMorphLib.batch.processor import Settings
from VoxelMorphLib.batch.run import LOCK, run_batch
from VoxelMorphLib.batch.table_pairs import TablePairs
from VoxelMorphLib.core.errors import Cancelled, OutputError, WorkerError
from VoxelMorphLib.core.io.locks import locked

WORK = "support.batch_work:process"


@pytest.fixture(autouse=True)
def child_finds_the_work(monkeypatch):
    testing = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([testing, os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def a_batch(tmp_path):
    """Run rows of these models, "" for an ordinary one; gives the summary."""
    (tmp_path / "a.nii").write_bytes(b"x")

    def run(models, workers=2, folder="out", work=WORK, **more):
        lines = [f"a.nii,a.nii,row{number},{model}" for number, model in enumerate(models, start=1)]
        (tmp_path / "pairs.csv").write_text("\n".join(["fixed,moving,id,model", *lines]))
        settings = Settings(tmp_path / folder, BatchOptions(workers=workers))
        executor = partial(Pool, workers, settings, work)
        return run_batch(TablePairs(tmp_path / "pairs.csv", Common()), tmp_path / folder, executor, **more)

    return run


def table(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_rows_stand_in_their_order_and_are_skipped_the_second_time(a_batch, tmp_path):
    summary = a_batch(["slow", *[""] * 9])
    assert dict(summary.counts) == {"done": 10}
    rows = table(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"row{n}" for n in range(1, 11)]
    assert rows[3]["similarity_after"] == "0.25" and rows[3]["seconds"] == "0.000"
    files = {path: path.read_bytes() for path in (tmp_path / "out").rglob("result.json")}
    assert dict(a_batch(["slow", *[""] * 9]).counts) == {"unchanged": 10}
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("result.json")} == files
    assert [row["status"] for row in table(tmp_path / "out")] == ["unchanged"] * 10


def test_what_has_changed_is_done_again(a_batch, tmp_path):
    a_batch(["", ""])
    (tmp_path / "out" / "row2" / "result.json").write_text("{}")
    assert dict(a_batch(["", ""]).counts) == {"done": 1, "unchanged": 1}
    (tmp_path / "a.nii").write_bytes(b"longer")
    assert dict(a_batch(["", ""]).counts) == {"done": 2}


def test_a_lost_process_is_replaced_and_its_rows_run_again(a_batch, tmp_path, capfd):
    summary = a_batch(["", "crash once", "", "crash", *[""] * 6])
    assert dict(summary.counts) == {"done": 9, "failed": 1}
    rows = table(tmp_path / "out")
    assert rows[3]["status"] == "failed" and rows[3]["fixed"] == "a.nii"
    assert rows[3]["sentence"].startswith("The process that registered it ended 3 times (exit code 7)")
    assert summary.worst()[0].id == "row4"


def test_a_row_whose_process_was_lost_after_it_was_written_counts_as_done(a_batch):
    assert dict(a_batch(["crash after", ""]).counts) == {"done": 2}
    assert dict(a_batch(["crash after", ""]).counts) == {"unchanged": 2}


def test_a_row_that_could_not_be_sent_is_done_once(a_batch, monkeypatch):
    send, ended = pool._send, []

    def end_before(child, message):
        if message.get("id") == "row1" and not ended:  # the first, so that no row beside it is under way
            ended.append(child.kill() or child.wait())
            raise BrokenPipeError
        send(child, message)

    monkeypatch.setattr(pool, "_send", end_before)
    assert dict(a_batch([""] * 6).counts) == {"done": 6} and ended


def test_processes_that_cannot_start_end_the_batch_at_once(a_batch, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("VoxelMorphLib.batch.pool.ATTEMPTS", 1)
    with pytest.raises(WorkerError, match=r"processes that register cannot be started \(exit code 1\)"):
        a_batch([""] * 3, workers=1, work="no_such_module:process")
    assert table(tmp_path / "out") == [] and "no_such_module" in capfd.readouterr().err


def test_a_cancelled_batch_keeps_what_is_done_and_goes_on(a_batch, tmp_path):
    def progress(fraction, _text):
        if fraction >= 0.5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        a_batch([""] * 8, progress=progress)
    done = len(table(tmp_path / "out"))
    assert 4 <= done < 8 and not (tmp_path / "out" / "results.part.csv").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{8 - done} pairs were not begun; the same command goes on with them." in page
    counts = a_batch([""] * 8).counts
    assert counts["done"] + counts["unchanged"] == 8 and counts["unchanged"] >= done


def test_processes_end_with_the_batch(a_batch, tmp_path):
    def progress(_fraction, _text):
        raise Cancelled("at once")

    with pytest.raises(Cancelled):
        a_batch(["slow"] * 4, progress=progress)
    before = sorted((tmp_path / "out").rglob("*"))
    time.sleep(0.7)
    assert sorted((tmp_path / "out").rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="processes cannot be ended so on Windows")
def test_children_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom VoxelMorphLib.batch.options import BatchOptions\n"
        "from VoxelMorphLib.batch.pool import Pool\nfrom VoxelMorphLib.batch.processor import Settings\n"
        f"pool = Pool(1, Settings(Path({str(tmp_path)!r}), BatchOptions()), {WORK!r})\n"
        "child = pool._start(0)\nprint(child.pid, flush=True)\nsys.stdin.read()"
    )
    library = str(Path(__file__).resolve().parents[2] / "VoxelMorphSlicer")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=library, **pipes)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _attempt in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2] if Path("/proc").exists() else os.kill(child, 0)
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the child outlived its parent")


def test_two_batches_in_one_folder_are_refused(a_batch, tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / LOCK, 0), pytest.raises(OutputError, match="Another batch is writing into"):
        a_batch([""])
    assert dict(a_batch([""]).counts) == {"done": 1}
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.parametrize("name", ["a.nii", "a.nii/deeper"])
def test_a_folder_that_cannot_be_made_is_refused(a_batch, name):
    with pytest.raises(OutputError, match="cannot be made"):
        a_batch([""], folder=name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(a_batch, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="does not accept files"):
        a_batch([""])


def test_a_table_named_like_the_results_is_refused(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"x")
    (tmp_path / "results.csv").write_text("fixed,moving\na.nii,a.nii\n")
    pairs = TablePairs(tmp_path / "results.csv", Common())
    with pytest.raises(OutputError, match=r"would be written to .*results\.csv, which is read"):
        run_batch(pairs, tmp_path, partial(Pool, 1, Settings(tmp_path, BatchOptions()), WORK))


def test_a_full_disk_stops_the_batch_with_a_sentence(a_batch, tmp_path, monkeypatch):
    from VoxelMorphLib.batch import results

    def full(self, _line):
        raise results._unwritable(self._journal, OSError(28, "No space left on device"))

    a_batch([""])
    before = table(tmp_path / "out")
    monkeypatch.setattr(results.Results, "_write", full)
    with pytest.raises(OutputError, match=r"results.part.csv could not be written \(No space left on device"):
        a_batch(["", ""])
    assert table(tmp_path / "out") == before
