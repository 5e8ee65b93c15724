"""Labels and their names from lists, archives and tables of other programs; and tables that spreadsheets may open."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.io.csv_files import csv_text, write_csv
from VoxelMorphLib.core.io.label_names import read_label_choice, segment_names

FREESURFER = """#$Id: FreeSurferColorLUT.txt $
#No. Label Name:                R   G   B   A

0   Unknown                     0   0   0   0
17  Left-Hippocampus            220 216 20  0
53  Right-Hippocampus           220 216 20  0
"""
SLICER = "# Color table file x.ctbl\n# 3 values\n0 Background 0 0 0 0\n1 left_kidney 128 174 128 255\n"
ITK_SNAP = (
    '    0     0    0    0        0  0  0    "Clear Label"\n    1   255    0    0        1  1  1    "Left kidney"\n'
)


def written(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("text", ["1,2,17", " 17, 2 ,1", "1 2 17", "17;2;1;2"])
def test_lists_of_numbers(text):
    choice = read_label_choice(text)
    assert choice.numbers == (1, 2, 17) and choice.names == {}


def test_nothing_means_all():
    assert read_label_choice("").numbers is None


@pytest.mark.parametrize("key", ["labels", "anything"])
def test_the_archive_of_the_original(tmp_path, key):
    np.savez(tmp_path / "labels.npz", **{key: np.array([0, 2, 17, 53])})
    assert read_label_choice(str(tmp_path / "labels.npz")).numbers == (2, 17, 53)


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("lut.txt", FREESURFER, {17: "Left-Hippocampus", 53: "Right-Hippocampus"}),
        ("x.ctbl", SLICER, {1: "left_kidney"}),
        ("itk.label", ITK_SNAP, {1: "Left kidney"}),
        ("x.csv", "label,name\n3,a b\n1,=c\n", {3: "a b", 1: "=c"}),
        ("slicer.csv", "LabelValue,Name,Color_R\n5,Liver,10\n", {5: "Liver"}),
        ("bare.csv", "4,four\n5,five\n", {4: "four", 5: "five"}),
        ("x.tsv", "index\tname\n9\tnine\n", {9: "nine"}),
        ("numbers.csv", "label\n8\n9\n", {}),
    ],
)
def test_tables_of_names(tmp_path, name, text, names):
    choice = read_label_choice(written(tmp_path, name, text))
    assert {number: title for number, title in choice.names.items() if number} == names
    assert 0 not in choice.numbers and set(names) <= set(choice.numbers)


def test_the_header_of_a_segmentation(tmp_path):
    header = "NRRD0004\ntype: uchar\nSegment0_LabelValue:=1\nSegment0_Name:=left lung\nSegment1_LabelValue:=7\n"
    (tmp_path / "a.seg.nrrd").write_bytes(f"{header}Segment1_Name:=liver \n\n".encode() + bytes([0, 255, 128]))
    assert segment_names(tmp_path / "a.seg.nrrd") == {1: "left lung", 7: "liver"}
    assert segment_names(tmp_path / "a.nii.gz") == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.csv", None, "does not exist"),
        ("empty.txt", "# nothing\n", "names no label but the background"),
        ("zero.csv", "label,name\n0,nothing\n", "names no label but the background"),
        ("twice.csv", "label,name\n3,a\n3,b\n", "names the label 3 twice"),
        ("words.csv", "label,name\nthree,a\n", "'three' where a label number belongs"),
        ("column.csv", "colour,name\nred,a\n", "no column 'label' but colour, name"),
        ("header.csv", "label,name\n", "no rows below its header"),
        ("fraction.npz", np.array([1.5]), "no whole numbers under 'labels'"),
    ],
)
def test_what_holds_no_labels_is_refused_in_a_sentence(tmp_path, name, text, message):
    if isinstance(text, str):
        written(tmp_path, name, text)
    elif text is not None:
        np.savez(tmp_path / name, labels=text)
    with pytest.raises(ConfigError, match=message):
        read_label_choice(str(tmp_path / name))


@pytest.mark.parametrize("text", ['=HYPERLINK("x")', "+1+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_compute_is_a_text(text):
    (_header, (cell,)) = list(csv.reader(csv_text(["a"], [[text]]).splitlines())) if "\r" not in text else [0, ["'"]]
    assert cell.startswith("'")


def test_numbers_keep_their_digits_and_what_is_unknown_is_empty(tmp_path):
    values = [-0.1 - 0.2, np.float64(1 / 3), np.int64(-3), None, float("nan"), 'a "b", c']
    write_csv(tmp_path / "t.csv", list("abcdef"), [values])
    _header, row = list(csv.reader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert float(row[0]) == values[0] and float(row[1]) == values[1] and row[2:] == ["-3", "", "", 'a "b", c']
