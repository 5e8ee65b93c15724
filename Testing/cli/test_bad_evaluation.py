"""Bad input of every kind to the evaluate command: one sentence, exit code 2, and no file left behind."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.measured_pair import ALL, FIXED, files_of_a_pair, folder, words  # noqa: F401, fixtures
from support.volumes import a_blob_image, a_label_map
from VoxelMorphLib.cli.evaluate import main
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.transforms import write_transform
from VoxelMorphLib.core.transform import DisplacementField


@pytest.fixture(scope="session")
def unfit(tmp_path_factory) -> Path:
    """Files that do not fit the pair."""
    folder = tmp_path_factory.mktemp("unfit")  # noqa: F811
    far = FIXED.shifted((500, 0, 0), FIXED.shape)
    write_image(Image(a_blob_image(FIXED).array, far), folder / "far.nii.gz")
    write_image(LabelMap(a_label_map(FIXED).array, far), folder / "farl.nii.gz")
    write_image(
        LabelMap(a_label_map(FIXED).array + 100 * (a_label_map(FIXED).array > 0), FIXED), folder / "other.nii.gz"
    )
    array = a_blob_image(FIXED).array.copy()
    array[3, 4, 5] = np.nan
    write_image(Image(array, FIXED), folder / "nan.nii.gz")
    shift = np.zeros((*FIXED.shape, 3), np.float32)
    shift[..., 0] = 900
    write_transform(DisplacementField(shift, FIXED), folder / "away.h5")
    (folder / "few.csv").write_text("label,x,y,z\np0,1,2,3\n")
    return folder


@pytest.fixture
def elsewhere(folder, unfit) -> None:  # noqa: F811
    """The same beside the pair, and a folder."""
    for file in unfit.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "folder").mkdir()


REFUSED = {
    "nothing": ({}, "There is nothing to measure"),
    "fixed alone": ({"fixed": "fixed.nii.gz"}, "There is nothing to measure"),
    "moved alone": ({"moved": "moved.nii.gz"}, "--moved cannot be measured alone. Give --fixed too"),
    "labels alone": ({"fixedLabels": "fl.nii.gz"}, "Give --movedLabels or --movingLabels too"),
    "points alone": ({"movingPoints": "mp.csv"}, "Give --fixedPoints too"),
    "inverse alone": ({"inverse": "inverse.nii.gz"}, "Give --transform too"),
    "missing file": ({"fixed": "absent.nii.gz", "moved": "moved.nii.gz"}, "absent.nii.gz does not exist"),
    "folder as output": ({**ALL, "csv": "folder"}, "folder is a folder"),
    "no folder for the output": ({**ALL, "json": "nowhere/o.json"}, "does not exist. Create it first"),
    "output over an input": ({**ALL, "csv": "fp.csv"}, "is also a file of --fixedPoints"),
    "outputs over each other": ({**ALL, "csv": "o.x", "json": "o.x"}, "is also a file of --csv"),
    "moved elsewhere": ({"fixed": "fixed.nii.gz", "moved": "far.nii.gz"}, "do not meet in the patient"),
    "labels elsewhere": ({"fixedLabels": "fl.nii.gz", "movedLabels": "farl.nii.gz"}, "do not meet in the patient"),
    "labels of another volume": ({**ALL, "fixedLabels": "farl.nii.gz"}, "do not meet in the patient"),
    "transform of another pair": (
        {"fixed": "fixed.nii.gz", "moving": "moving.nii.gz", "transform": "away.h5"},
        "leads no voxel of the fixed volume",
    ),
    "no common label": (
        {"fixedLabels": "fl.nii.gz", "movedLabels": "other.nii.gz"},
        "102, 117, 153 have none in common",
    ),
    "no wanted label": (
        {"fixedLabels": "fl.nii.gz", "movedLabels": "dl.nii.gz", "labels": "5,6"},
        r"among those of --labels (5, 6)",
    ),
    "NaN": ({"fixed": "fixed.nii.gz", "moved": "nan.nii.gz"}, "1 NaN or infinite"),
    "other points": ({"fixedPoints": "fp.csv", "movingPoints": "few.csv"}, "4 placed points and few.csv 1"),
    "labels that are intensities": ({"fixedLabels": "fixed.nii.gz", "movedLabels": "dl.nii.gz"}, "is not a label map"),
    "no transform": ({"transform": "fp.csv"}, "no transform format"),
    "no labels file": ({**ALL, "labels": "absent.csv"}, "absent.csv does not exist"),
    "scans without model": ({"fixed": "fixed.nii.gz", "scans": "moving.nii.gz"}, "registered by a --model"),
    "scans without atlas": ({"model": "linear", "scans": "moving.nii.gz"}, "onto an --atlas"),
    "twice the same scan": (
        {"model": "linear", "atlas": "fixed.nii.gz", "scans": "moving.nii.gz", "pairs": "pairs.csv"},
        "two lists of pairs",
    ),
    "model and result": ({"model": "linear", **ALL}, "--model makes the result itself"),
    "unknown model": (
        {"model": "nobody", "fixed": "fixed.nii.gz", "moving": "moving.nii.gz"},
        "nobody",
    ),
    "atlas and fixed": ({"atlas": "fixed.nii.gz", "fixed": "fixed.nii.gz"}, "mean the same"),
    "unknown option": ({"fixd": "fixed.nii.gz"}, "--fixd"),
    "table that is none": ({"pairs": "fixed.nii.gz"}, "is no .csv or .tsv file"),
    "table that is missing": ({"pairs": "absent.csv"}, "absent.csv does not exist"),
}

#: A table whose first row is fine.
GOOD = "id,fixed,moved\na,fixed.nii.gz,moved.nii.gz\n"
TABLES = {
    "missing column": ("id,a,b\n1,2,3\n", "has no column"),
    "no rows": ("id,fixed,moved\n", "no rows below its header"),
    "empty": ("", "is empty"),
    "duplicate ids": (
        "id,fixedLabels,movedLabels\na,fl.nii.gz,dl.nii.gz\nb,fl.nii.gz,dl.nii.gz\na,fl.nii.gz,dl.nii.gz\n",
        "Line 4 of .* has the id 'a' again",
    ),
    "a column twice": ("fixed,Fixed\nfixed.nii.gz,fixed.nii.gz\n", "the column fixed twice"),
    "file missing": (
        "id,fixed,moved\na,fixed.nii.gz,moved.nii.gz\nb,fixed.nii.gz,gone.nii.gz\n",
        r"Line 3 \(b\) .*moved .*gone.nii.gz does not exist",
    ),
    "a formula as file": ("id,fixed,moved\na,fixed.nii.gz,\"=cmd|' /C calc'!A0\"\n", r"Line 2 \(a\).*does not exist"),
    "a script as file": ("id,fixed,moved\na,fixed.nii.gz,<script>\n", r"Line 2 \(a\).*does not exist"),
    "a row with nothing to measure": (
        "id,fixed,moved\na,fixed.nii.gz,moved.nii.gz\nb,fixed.nii.gz,\n",
        r"Line 3 \(b\): There is nothing to measure",
    ),
    "a row whose grids do not meet": (
        "id,fixed,moved\na,fixed.nii.gz,moved.nii.gz\nb,fixed.nii.gz,far.nii.gz\n",
        r"Line 3 \(b\): .*do not meet",
    ),
    "a row without common label": (
        "id,fixedLabels,movedLabels\na,fl.nii.gz,dl.nii.gz\n<script>,fl.nii.gz,other.nii.gz\n",
        r"Line 3 \(<script>\): .*have none in common",
    ),
    "bytes": (b"id,fixed\0\xff\xfe,moved\n1,2,3\n", "cannot be read as text|is no text file"),
}


def refusal(folder: Path, capsys, argv: list[str]) -> str:  # noqa: F811
    """The one sentence of a refused command, which leaves the folder as it was."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(argv) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ") and printed.count("\n") == 1 and printed.rstrip().endswith(".")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return printed


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("elsewhere")
def test_what_cannot_be_measured_is_one_sentence(folder, capsys, case):  # noqa: F811
    files, sentence = REFUSED[case]
    outputs = {"csv": "out.csv", "json": "out.json", "report": "out.html"}
    assert sentence in refusal(folder, capsys, words(**{**outputs, **files}))


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.usefixtures("elsewhere")
def test_a_table_that_cannot_be_used_is_one_sentence(folder, capsys, case):  # noqa: F811
    text, sentence = TABLES[case]
    (folder / "pairs.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    argv = words(pairs="pairs.csv", csv="out.csv", json="out.json", report="out.html")
    assert re.search(sentence, refusal(folder, capsys, argv))


@pytest.mark.usefixtures("elsewhere")
def test_an_old_output_stays_where_the_command_refuses(folder, capsys):  # noqa: F811
    (folder / "out.csv").write_text("old")
    refusal(folder, capsys, words(fixed="fixed.nii.gz", moved="far.nii.gz", csv="out.csv"))
    assert (folder / "out.csv").read_text() == "old"
