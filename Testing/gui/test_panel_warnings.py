"""What a registration or the application of a transform warned of reaches the user."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.panel_runs import is_idle, sentence_after_register

WORSE = "The deformation agrees less than the start alone: the correlation fell from 0.78 to 0.71."
HALF = "The memory of cuda:0 did not suffice, so the volumes were registered at half their resolution."


def table_rows(panel) -> list[tuple[str, str]]:
    table = panel.widget.panel.parameters.resultsTable
    return [(table.GetCellText(row, 0), table.GetCellText(row, 3)) for row in range(table.GetNumberOfRows())]


def register(panel, scripted, warnings=(), worse="") -> None:
    panel.click("registerButton")
    told = {"warnings": tuple(warnings), "worse": worse}
    scripted.finish(lambda result: replace(result, report=replace(result.report, **told)))
    panel.wait(lambda: is_idle(panel))


@pytest.fixture
def registered(ready, scripted, volumes):
    ready.volumes = volumes
    return lambda *warnings, worse="": register(ready, scripted, warnings, worse)


@pytest.mark.slow
def test_a_weaker_attempt_is_told_at_the_end_and_in_the_table(ready, registered):
    registered(HALF)
    assert ready.ui.statusLabel.text == f"Done: volume 2 moved. {HALF}"
    assert ("Warning", HALF) in table_rows(ready)
    assert 60 < ready.ui.resultsTableView.columnWidth(3) <= 160


@pytest.mark.slow
def test_what_is_worse_than_before_stands_first_with_a_sign(ready, registered):
    registered(WORSE, HALF, worse=WORSE)
    assert ready.ui.statusLabel.text == f"{WORSE}\nDone: volume 2 moved. {HALF}"
    assert ready.ui.statusIconLabel.isVisibleTo(ready.frame)
    assert [row for row in table_rows(ready) if row[0] == "Warning"] == [("Warning", WORSE), ("Warning", HALF)]
    registered(HALF)
    assert not ready.ui.statusIconLabel.isVisibleTo(ready.frame)


@pytest.mark.slow
def test_without_warnings_there_is_nothing_to_tell(ready, registered):
    registered()
    assert ready.ui.statusLabel.text == "Done: volume 2 moved"
    assert "Warning" not in dict(table_rows(ready))


@pytest.mark.slow
def test_what_a_folder_leaves_out_is_named(ready, registered, scene, hierarchy):
    registered()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "study")
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "patients")
    for node in (ready.volumes[1], table):
        hierarchy.CreateItem(folder, node)
    ready.widget.panel.parameters.appliedTransform = ready.widget.panel.parameters.forwardTransform
    ready.ui.applySection.collapsed = False
    ready.ui.appliedFolderComboBox.setCurrentItem(folder)
    ready.click("applyButton")
    ready.wait(lambda: is_idle(ready))
    assert "Left out, because transforms do not move them: patients." in ready.ui.statusLabel.text


def choose_overlay(panel, value: str) -> None:
    box = panel.ui.overlayComboBox
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


@pytest.mark.slow
def test_the_jacobian_overlay_makes_the_map_that_is_missing(ready, registered):
    registered()
    chosen = ready.widget.panel.parameters
    assert chosen.jacobianVolume is None
    choose_overlay(ready, "jacobian")
    ready.wait(lambda: is_idle(ready))
    assert chosen.jacobianVolume.GetName() == "volume 1 Jacobian"
    expected = ready.widget.panel.logic.jacobian(chosen.forwardTransform, chosen.fixedVolume)
    maps = [slicer.util.arrayFromVolume(node) for node in (chosen.jacobianVolume, expected)]
    assert (maps[0] == maps[1]).all() and maps[0].std() > 0
    assert ready.ui.statusLabel.text == "Done: volume 1 Jacobian"
    again = chosen.jacobianVolume
    choose_overlay(ready, "moved")
    choose_overlay(ready, "jacobian")
    assert is_idle(ready) and chosen.jacobianVolume is again


def test_without_a_result_there_is_no_map(ready):
    choose_overlay(ready, "jacobian")
    assert ready.ui.statusLabel.text == "There is no result to draw a Jacobian map of. Register first."
    assert is_idle(ready)


def test_warnings_are_told_also_where_the_measuring_fails(ready, scripted, scene):
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "results")
    ready.widget.panel.parameters.resultsTable = table
    ready.click("registerButton")
    scripted.finish(lambda result: replace(result, report=replace(result.report, warnings=(HALF,))))
    ready.wait(lambda: ready.widget.panel.parameters.forwardTransform)
    scene.RemoveNode(table)
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text.startswith("Registered, but: ")
    assert ready.ui.statusLabel.text.endswith(HALF)


def test_what_could_not_be_measured_is_refused_at_the_click(ready, scripted, scene):
    ready.ui.advancedSection.collapsed = False
    points = [scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"points {count}") for count in (1, 2)]
    for count, node in enumerate(points, 1):
        for index in range(count):
            node.AddControlPoint(index, 0, 0)
    ready.choose(fixedLandmarksSelector=points[0], movingLandmarksSelector=points[1])
    assert "points 1 has 1 placed points and points 2 2" in sentence_after_register(ready)
    ready.choose(movingLandmarksSelector=None)
    ready.choose(movingSegmentationSelector=scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty"))
    assert "The segmentation empty has no segments" in sentence_after_register(ready)
    assert not scripted.jobs
