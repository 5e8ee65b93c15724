"""The benchmarks run on tiny images and say what they skip; speeds themselves are never tested."""

from __future__ import annotations

import dataclasses
import json
import re
import sys

import numpy as np
import pytest
import torch

from benchmarks import compare, gpu, large, memory, startup, templates, ui_gap, warm_click
from benchmarks.__main__ import main
from benchmarks.batch import measure_batch
from benchmarks.child import run_child
from benchmarks.clock import interleaved, median_ratio
from benchmarks.floor import convolutions_of, measure_floor
from benchmarks.machine import describe_machine
from benchmarks.poses import measure_poses, random_pose
from benchmarks.row import Row, markdown
from benchmarks.settings import Settings
from benchmarks.subjects import image_pair, in_precision, published_network


def test_poses_without_images_say_so_and_random_ones_are_similarities(tmp_path):
    (row,) = measure_poses(Settings(data=tmp_path))
    assert row.value is None and "VXM_DATA" in row.note
    matrix = random_pose(np.random.default_rng(0), 180.0, np.array([10.0, 20.0, 30.0]))
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    assert 0.85 < scale < 1.15
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], scale**2 * np.eye(3), atol=1e-12)


@pytest.fixture
def tiny(tmp_path) -> Settings:
    """Settings for images of 32 voxels without weights and recorded images."""
    return Settings(shape=(32, 32, 32), repeats=1, weights=tmp_path, reference=tmp_path)


def test_rows_become_a_markdown_table():
    rows = [
        Row("floor", "forward | one", 0.123456, "s", "its convolutions", 1.2345, "1 thread"),
        Row("memory", "register", 2345.6, "MB"),
        Row("gpu", "forward", note="no GPU"),
    ]
    assert markdown(rows).splitlines()[2:] == [
        "| floor | forward / one | 0.123 s | 1.23 x its convolutions | 1 thread |",
        "| memory | register | 2346 MB |  |  |",
        "| gpu | forward | skipped |  | no GPU |",
    ]


def test_functions_take_turns_after_one_warm_up():
    calls = []
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = interleaved(works, 2, measure=lambda work: work() or float(len(calls)))
    assert "".join(calls) == "ababab"
    assert times == {"a": [3, 5], "b": [4, 6]}
    assert median_ratio(times, "a", "b") == pytest.approx((3 / 4 + 5 / 6) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_floor_holds_all_convolutions_of_the_published_network(tiny, precision):
    """Features from the table of the original: 2-16-32-32-32, 32-32-32-32-32-16-16, 3, each read from its input."""
    network, weights = published_network(tiny)
    convolutions = convolutions_of(in_precision(network, precision))
    channels = [tuple(convolution.weight.shape[1::-1]) for convolution in convolutions]
    assert weights == "random weights"
    assert channels == [
        *[(2, 16), (16, 32), (32, 32), (32, 32)],
        *[(32, 32), (64, 32), (64, 32), (64, 32), (32, 32), (32, 16), (16, 16), (16, 3)],
    ]
    assert sum(c.weight.numel() + c.bias.numel() for c in convolutions) == sum(p.numel() for p in network.parameters())
    assert {str(c.weight.dtype) for c in convolutions[:-1]} == {f"torch.{precision}"}


def test_the_floor_is_measured_in_both_precisions(tiny):
    threads = torch.get_num_threads()
    try:
        rows = measure_floor(tiny)
    finally:
        torch.set_num_threads(threads)
    assert [row.unit for row in rows] == ["s CPU", "s CPU", "voxels"]
    assert all(row.ratio > 0 for row in rows[:2])
    assert rows[2].value > 0


@pytest.mark.slow
def test_absent_packages_weights_and_devices_are_skipped_with_the_reason(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "voxelmorph", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(startup, "run_child", lambda *_: {"seconds": 0.5, "torch": False})
    threads = torch.get_num_threads()
    try:
        rows = [measure(tiny)[-1] for measure in (compare.measure_against_pypi, memory.measure_memory)]
        rows += [measure(tiny)[-1] for measure in (gpu.measure_gpu, startup.measure_startup)]
    finally:
        torch.set_num_threads(threads)
    assert [row.value for row in rows] == [None] * 4
    reasons = ("pip install --no-deps voxelmorph==0.3.4", "no published weights", "no CUDA device", "no published")
    for row, reason in zip(rows, reasons):
        assert reason in row.note


@pytest.mark.slow
def test_a_slider_waits_less_than_the_first_template(tiny, monkeypatch):
    monkeypatch.setattr(templates, "SHAPE", (16, 16, 16))
    first, moved, alone = templates.measure_templates(tiny)
    assert 0 < moved.value < first.value
    assert alone.value > 0


@pytest.mark.slow
def test_clicks_are_split_into_stages(tiny, monkeypatch):
    monkeypatch.setattr(warm_click, "SMALL", (32, 32, 32))
    monkeypatch.setattr(warm_click, "_published_job", warm_click._job_on_own_grid)
    rows = warm_click.measure_warm_click(tiny)
    assert len(rows) == 2 * (4 + len(warm_click.STAGES))
    for first, again, other, *stages, hold_up in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        for warm in (again, other):
            assert float(re.search(r"[\d.]+", warm.note).group()) == pytest.approx(first.value / warm.value, abs=0.01)
        assert sum(row.value for row in stages) == pytest.approx(first.value, abs=0.01)
        assert hold_up.unit == "ms"


def test_the_pair_has_the_wanted_shape_and_range(tiny):
    for image in image_pair(tiny):
        assert image.shape == (1, 1, 32, 32, 32)
        assert 0 <= image.min() < image.max() <= 1


def test_children_report_their_memory_and_errors():
    run = run_child("import sys; block = bytearray(50_000_000); seconds = float(sys.argv[1])", ["2.5"])
    assert run["seconds"] == 2.5
    assert 50e6 < run["peak_bytes"] < 1e9
    assert not run["torch"]
    with pytest.raises(RuntimeError, match=r"child process failed:(.|\n)*ZeroDivisionError"):
        run_child("seconds = 1 / 0")


def test_large_pairs_are_registered_apart_or_their_absence_is_told(tiny, tmp_path):
    (row,) = large.measure_large(dataclasses.replace(tiny, data=tmp_path))
    assert row.value is None and "is absent" in row.note
    if not (tiny.data / "brain" / large.FILES[0]).is_file():
        pytest.skip("no shared data")
    peak, seconds = large.measure_large(tiny, (40, 36, 24))
    assert (peak.unit, seconds.unit) == ("GB peak", "s CPU") and 0.1 < peak.value < 4 and seconds.value > 0.1
    assert "40x36x24" in peak.name


@pytest.mark.slow
def test_rows_of_a_batch_are_timed_and_their_memory_is_told(tiny):
    each, memory, grown = measure_batch(dataclasses.replace(tiny, rows=10))
    assert each.value > 0 and each.unit == "ms" and "10 rows" in each.note
    assert 0 <= grown.value < memory.value < 1000


def test_too_few_rows_of_a_batch_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--rows", "9"])
    assert "--rows 9 is too few" in capsys.readouterr().err


def test_the_machine_is_described():
    machine = describe_machine()
    assert machine["torch"] == torch.__version__
    assert int(machine["cores"]) >= 1
    assert all(machine.values())


def test_results_are_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(main.__globals__["TOPICS"], "gpu", lambda _settings: [Row("gpu", "forward", 1.5, "ms")])
    assert main(["--topics", "gpu", "--out", str(tmp_path / "bench")]) == 0
    table = (tmp_path / "bench" / "results.md").read_text(encoding="utf-8")
    assert "| gpu | forward | 1.5 ms |  |  |" in table
    assert table.strip() in capsys.readouterr().out
    results = json.loads((tmp_path / "bench" / "results.json").read_text(encoding="utf-8"))
    assert results["rows"][0]["value"] == 1.5
    assert results["machine"]["torch"]


def test_shapes_that_no_network_takes_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--shape", "40", "64", "64"])
    assert "needs multiples of 32" in capsys.readouterr().err


@pytest.mark.slow
def test_the_event_loop_is_watched_during_a_click(tiny, monkeypatch):
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")
    monkeypatch.setattr(ui_gap, "_BUDGET_S", 1.0)
    rows = ui_gap.measure_ui_gap(tiny)
    assert {row.unit for row in rows} == {"ms"}
    # How many stages are seen depends on the machine: some are shorter than a tick.
    assert len({row.name for row in rows}) > 2
    assert any(" > " in row.name for row in rows), "the change from one stage to the next is a gap too"
    assert [row.value for row in rows] == sorted((row.value for row in rows), reverse=True)


def test_the_event_loop_is_not_watched_without_the_stand_ins(tiny, monkeypatch):
    monkeypatch.setattr(ui_gap.importlib.util, "find_spec", lambda name: None)
    (row,) = ui_gap.measure_ui_gap(tiny)
    assert (row.value, row.note) == (None, "slicer is not installed")
