"""What people read of the measures: rounded numbers with units in the cells, and one line of words."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from VoxelMorphLib.bridge.actions.results_table import SUMMARY, fill_table, summary_of
from VoxelMorphLib.evaluation.rows import (
    CORRELATION,
    DICE,
    FOLDED,
    LANDMARKS,
    MEAN,
    TIME,
    Row,
    important_first,
    percent_text,
    summary,
)
from VoxelMorphLib.evaluation.structures import Structure

SIMILARITY = Row(CORRELATION, "", 0.5512, 0.9187)
CALM = [Row(FOLDED, "", None, 0, "voxels"), Row(FOLDED, "", None, 0.0, "%"), Row(TIME, "", None, 8.6, "s", 1)]
STRUCTURES = [Row(DICE, "a", 0.7, 0.84), Row(DICE, "b", 0.72, 0.88), Row(DICE, "c", None, None)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("Mean surface distance", "a", 1.734e-05, 2.345, "mm", 2), ("0.00 mm", "2.35 mm")),
        (Row(DICE, "a", 0.71234, 1.0), ("0.712", "1.000")),
        (Row("Jacobian", "minimum", None, -0.1431, decimals=2), ("", "-0.14")),
        (Row(FOLDED, "", None, 12, "voxels"), ("", "12 voxels")),
        (Row("Model", after="a name"), ("", "a name")),
        (Row(DICE, "a", math.nan, None), ("", "")),
    ],
)
def test_numbers_are_rounded_and_stand_with_their_unit(row, expected):
    assert row.cells()[2:] == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (2e-5, "under 0.001 %"), (0.0214, "0.021 %"), (1.5, "1.5 %"), (33.3, "33 %")],
)
def test_percentages_have_the_digits_that_they_need(value, text):
    assert percent_text(value) == text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([SIMILARITY, *CALM], "Correlation 0.55 to 0.92; no folds; 9 s."),
        ([SIMILARITY, *STRUCTURES, *CALM], "Overlap of 2 structures 0.71 to 0.86; no folds; 9 s."),
        ([STRUCTURES[0], *CALM], "Overlap of a 0.70 to 0.84; no folds; 9 s."),
        (
            [SIMILARITY, Row(LANDMARKS, "p", 3.0, 1.0, "mm", 2), Row(LANDMARKS, MEAN, 4.21, 1.3, "mm", 2), *CALM],
            "Landmarks 4.2 to 1.3 mm apart; no folds; 9 s.",
        ),
        (
            [SIMILARITY, Row(FOLDED, "", None, 12, "voxels"), Row(FOLDED, "", None, 0.0214, "%")],
            "Correlation 0.55 to 0.92; 12 voxels folded (0.021 %).",
        ),
        ([], ""),
    ],
)
def test_the_result_is_one_line_of_words(rows, expected):
    assert summary(rows) == expected
    assert summary(important_first(rows)) == expected, "the mean that stands in the table is no structure"


def test_what_matters_most_stands_first():
    warning, model = Row("Warning", after="worse"), Row("Model", after="m")
    rows = important_first([SIMILARITY, *STRUCTURES, model, *CALM, warning])
    assert rows[0] is warning
    assert rows[1] == Row(DICE, MEAN, pytest.approx(0.71), pytest.approx(0.86))
    assert rows[2:5] == CALM
    assert rows[5:] == [SIMILARITY, *STRUCTURES, model]


def test_the_line_belongs_to_the_table(scene):
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "results")
    assert summary_of(table) == summary_of(None) == ""
    fill_table([SIMILARITY, *CALM], table)
    assert summary_of(table) == table.GetAttribute(SUMMARY) == "Correlation 0.55 to 0.92; no folds; 9 s."
    fill_table([], table)
    assert summary_of(table) == ""


@pytest.mark.parametrize(
    ("structure", "title"),
    [
        (Structure("left hippocampus", 17, None), "label 17 (left hippocampus)"),
        (Structure("label 17", 17, None), "label 17"),
        (Structure("Liver ", 1, None, is_numbered=False), "Liver"),
    ],
)
def test_structures_have_number_and_name(structure, title):
    assert structure.title == title


def test_segments_that_share_a_number_have_their_name_alone(scene):
    import numpy as np
    from support.segmentations import add_segmentation
    from support.volumes import a_geometry
    from VoxelMorphLib.bridge.actions.structures import structures_from_node
    from VoxelMorphLib.core.image import LabelMap

    grid = a_geometry("RAS", (6, 6, 6))
    layers = [LabelMap(np.full((6, 6, 6), number, np.uint8), grid) for number in (1, 1, 4)]
    node = add_segmentation("organs", layers, [("a", "A", 0, 1), ("b", "B", 1, 1), ("c", "C", 2, 4)])
    assert [structure.title for structure in structures_from_node(node)] == ["A", "B", "label 4 (C)"]
