"""A table of pairs becomes rows; what is wrong with the table, or with a row, is one sentence."""

from __future__ import annotations

import pytest
from VoxelMorphLib.batch.pairs import Common
from VoxelMorphLib.batch.table_pairs import TablePairs
from VoxelMorphLib.core.errors import ConfigError


@pytest.fixture
def a_table(tmp_path):
    """Write a table beside the images a, b and c; gives its pairs."""
    for name in "abc":
        (tmp_path / f"{name}.nii").write_bytes(b"x")
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / f"{name}.nii").write_bytes(b"x")

    def written(text, common=None, name="pairs.csv", encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return TablePairs(tmp_path / name, common or Common())

    return written


def rows_of(pairs):
    rows = list(pairs.rows())
    assert len(rows) == pairs.count
    return rows


def test_files_are_relative_to_the_table_and_ids_are_made_of_them(a_table, tmp_path):
    first, second = rows_of(a_table("fixed,moving\na.nii,b.nii\n\ndeep/c.nii,a.nii\n"))
    assert first.files == {"fixed": str(tmp_path / "a.nii"), "moving": str(tmp_path / "b.nii")}
    assert (first.number, first.id, first.place["moved"]) == (1, "b_to_a", "b_to_a/moved")
    assert (second.number, second.id, second.problem) == (2, "a_to_c", "")


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("fixed;moving\na.nii;b.nii\n", "pairs.csv", "utf-8"),
        ("fixed\tmoving\na.nii\tb.nii\n", "pairs.tsv", "utf-8-sig"),
        ("fixed\tmoving\na.nii\tb.nii\n", "pairs.csv", "utf-16"),
        ("Fixed,MOVING,ID\na.nii,b.nii,b_to_a\n", "pairs.csv", "utf-8"),
        ('"fixed","moving"\r\n"a.nii","b.nii"\r\n', "pairs.csv", "utf-8"),
    ],
)
def test_tables_of_spreadsheets_are_read(a_table, text, name, encoding):
    (row,) = rows_of(a_table(text, name=name, encoding=encoding))
    assert (row.id, row.problem) == ("b_to_a", "")


def test_options_of_a_row_come_before_those_of_the_command(a_table):
    common = Common("linear", {"smoothness": 2.0, "affine": "none"})
    first, second = rows_of(
        a_table("moving,fixed,smoothness,model\na.nii,b.nii,0.25,optimise\na.nii,c.nii,,\n", common)
    )
    assert (first.model, first.options) == ("optimise", {"smoothness": 0.25, "affine": "none"})
    assert (second.model, second.options) == ("linear", {"smoothness": 2.0, "affine": "none"})


def test_pairs_of_the_same_names_have_ids_of_their_own(a_table):
    text = "fixed,moving\na.nii,b.nii\ndeep/a.nii,b.nii\n"
    ids = [row.id for row in rows_of(a_table(text))]
    assert ids[0] == "b_to_a" and ids[1].startswith("b_to_a-") and len(ids[1]) == 13
    assert ids == [row.id for row in rows_of(a_table(text))]


WRONG_TABLES = {
    "": "is empty",
    "fixed,id\na.nii,1\n": "has no column moving; its first row is 'fixed', 'id'",
    "a.nii,b.nii\n": "has no column fixed and no column moving",
    "fixed,moving,fixdMask\na.nii,b.nii,c.nii\n": "has a column 'fixdMask', which is no option",
    "fixed,moving,moving\na.nii,b.nii,c.nii\n": "has the column moving twice",
    "fixed,moving\n": "has no rows below its header",
    "fixed,moving\n ,\n\n": "has no rows below its header",
    "fixed,moving,id\na.nii,b.nii,One\na.nii,c.nii,one\n": "Line 3 .* has the id 'one' again",
    "fixed,moving\0\na.nii,b.nii\n": "is no text file",
    f"fixed,moving\n{'a' * 200_000},b\n": r"is no table \(",
}


@pytest.mark.parametrize("text", WRONG_TABLES)
def test_a_table_that_cannot_be_used_is_refused_whole(a_table, text):
    with pytest.raises(ConfigError, match=WRONG_TABLES[text]):
        a_table(text)


def test_a_table_that_is_missing_or_not_utf8_is_refused(a_table, tmp_path):
    with pytest.raises(ConfigError, match=r"none.csv cannot be read \(No such file"):
        TablePairs(tmp_path / "none.csv", Common())
    with pytest.raises(ConfigError, match="cannot be read as text"):
        a_table("fixed,moving\nä.nii,b.nii\n", encoding="latin-1")


WRONG_ROWS = {
    "a.nii,,,": "Line 3: moving is empty. Name an image.",
    "a.nii,gone.nii,,": "Line 3: moving {folder}/gone.nii does not exist. Check the name and the folder.",
    "a.nii,=b.nii,,": "Line 3: moving is '=b.nii', which spreadsheets take for a formula. Write the value itself, ./ "
    "before the name of a file.",
    "a.nii,b.nii,x/../y,": "Line 3: The id 'x/../y' has characters other than letters, digits, dots, hyphens and "
    "underscores. Rename it.",
    "a.nii,b.nii,<script>,": "Line 3: The id '<script>' has characters other than letters, digits, dots, hyphens and "
    "underscores. Rename it.",
    "a.nii,b.nii,con,": "Line 3: The id 'con' is a name that Windows keeps for devices. Rename it.",
    "a.nii,b.nii,..,": "Line 3: The id '..' does not begin with a letter or digit, or ends with a dot. Rename it.",
    "a.nii,b.nii,one,much": "Line 3: 'much' is not a number.",
    "a.nii,b.nii,one,-1": "Line 3: smoothness is -1.0; choose a number from 0 to 1000.",
    "a.nii,b.nii,one,1,2": "Line 3: It has more cells than the table has columns. Put cells with commas into quotes.",
}


@pytest.mark.parametrize("text", WRONG_ROWS)
def test_a_row_that_cannot_be_used_says_so_and_the_others_can(a_table, tmp_path, text):
    header = "fixed,moving,id,smoothness"
    before, wrong, after = rows_of(a_table(f"{header}\na.nii,b.nii,,\n{text}\nb.nii,a.nii,,\n"))
    assert wrong.problem == WRONG_ROWS[text].format(folder=tmp_path)
    assert (before.problem, after.problem) == ("", "")
    assert wrong.place == {}


def test_the_same_pair_twice_needs_ids(a_table):
    text = "fixed,moving\na.nii,b.nii\na.nii,b.nii\na.nii,b.nii\n"
    assert [row.problem for row in rows_of(a_table(text))][2].endswith("in the table twice. Give both rows an id.")


def test_rows_are_made_while_they_are_asked_for(a_table):
    pairs = a_table("fixed,moving\n" + "a.nii,b.nii\n" * 1000)
    assert next(iter(pairs.rows())).number == 1
