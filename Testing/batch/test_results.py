"""The table of results and the page hold any text, and nothing in them can be taken for a formula or for markup."""

from __future__ import annotations

import csv
from statistics import mean, stdev

import pytest
from VoxelMorphLib.batch.results import Results, read_results, safe_cell
from VoxelMorphLib.batch.row import Outcome
from VoxelMorphLib.batch.summary import SHOWN, Spread, Summary


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "a\nb", 'he said "no", twice', "ü", ""])
def test_a_cell_is_no_formula_and_comes_back(tmp_path, text):
    with Results(tmp_path) as results:
        results.add(Outcome(1, "one", "failed", text))
    (row,) = read_results(tmp_path / "results.csv")
    assert row["sentence"].lstrip("'") == " ".join(text.split())
    assert not row["sentence"].startswith(("=", "+", "-", "@"))
    assert safe_cell(row["sentence"]) == row["sentence"]


def test_rows_that_end_in_any_order_stand_in_theirs(tmp_path):
    with Results(tmp_path) as results:
        for number in (3, 1, 2):
            results.add(Outcome(number, f"row{number}", "done", measures={"dice_after": number / 4}, seconds=1.5))
    with (tmp_path / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["row"], row["dice_after"]) for row in rows] == [("1", "0.25"), ("2", "0.5"), ("3", "0.75")]
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_a_kill_leaves_the_earlier_table_and_whole_lines(tmp_path):
    with Results(tmp_path) as results:
        results.add(Outcome(1, "one", "done"))
    earlier = (tmp_path / "results.csv").read_bytes()
    killed = Results(tmp_path).__enter__()
    killed.add(Outcome(1, "two", "done"))
    assert (tmp_path / "results.csv").read_bytes() == earlier
    assert [row["id"] for row in read_results(tmp_path / "results.part.csv")] == ["two"]


def test_the_worst_come_first_whatever_the_order():
    summary = Summary()
    for number in range(1, 3 * SHOWN):
        summary.add(Outcome(number, str(number), "done", measures={"similarity_after": number / 1000}))
    summary.add(Outcome(900, "failed", "failed", "It is missing."))
    summary.add(Outcome(901, "worse", "done", "It is worse than before.", {"similarity_after": 0.9}))
    summary.add(Outcome(902, "by labels", "done", "", {"similarity_after": 0.9, "dice_after": 0.0001}))
    worst = [outcome.id for outcome in summary.worst()]
    assert worst[:5] == ["failed", "worse", "by labels", "1", "2"] and len(worst) == SHOWN


def test_the_page_shows_names_as_text_and_pictures_of_the_worst(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "result.png").write_bytes(b"png")
    summary = Summary()
    summary.add(
        Outcome(1, "one", "done", measures={"dice_before": 0.5, "dice_after": 0.75}, thumbnail="one/result.png")
    )
    summary.add(Outcome(2, "<script>alert(1)</script>", "failed", "<b>gone</b>.nii does not exist.", fixed="<i>"))
    summary.write_page(tmp_path, 2)
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>gone" not in page
    assert "0.500 → 0.750" in page and "cG5n" in page
    assert page.index("&lt;b&gt;gone") < page.index("cG5n")


def test_spreads_agree_with_the_standard_library():
    values = [0.5, 2.0, -1.0, 7.25, 0.0]
    spread = Spread()
    for value in values:
        spread.add(value)
    assert spread.mean == pytest.approx(mean(values)) and spread.deviation == pytest.approx(stdev(values))
    assert (spread.low, spread.high, spread.count) == (-1.0, 7.25, 5)
