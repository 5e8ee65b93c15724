"""A result is measured again with what was drawn after it, and nothing but the table changes."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.panel_runs import SMALL, is_idle
from support.scene_content import content
from support.volumes import CENTRE, a_blob_image, a_geometry


def register(panel, scripted) -> None:
    panel.click("registerButton")
    scripted.finish()
    panel.wait(lambda: is_idle(panel))


def rows(panel) -> dict[str, tuple[str, str]]:
    table = panel.widget.panel.parameters.resultsTable
    texts = [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]
    return {f"{measure} {name}".strip(): (before, after) for measure, name, before, after in texts}


def number(cell: str) -> float:
    return float(cell.split()[0])


def add_points(panel, role: str, count: int = 2) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{role} points")
    for index in range(count):
        node.AddControlPoint(*(CENTRE + [index, 0, 0]))
    panel.ui.advancedSection.collapsed = False
    panel.choose(**{f"{role}LandmarksSelector": node})


def measure(panel) -> str:
    panel.ui.resultSection.collapsed = False
    panel.click("measureButton")
    panel.wait(lambda: is_idle(panel))
    return panel.ui.statusLabel.text


@pytest.mark.slow
def test_landmarks_placed_after_the_result_are_measured(ready, scripted):
    register(ready, scripted)
    first, table = rows(ready), ready.widget.panel.parameters.resultsTable
    assert "Landmark error mean" not in first
    add_points(ready, "fixed")
    add_points(ready, "moving")
    assert measure(ready) == f"Done: {table.GetName()}"
    assert ready.widget.panel.parameters.resultsTable is table
    assert len(scripted.jobs) == 1
    again = rows(ready)
    assert 0 <= number(again["Standard deviation of the logarithm of the Jacobian determinant"][1]) < 1
    before, after = map(number, again["Landmark error mean"])
    assert before == pytest.approx(0, abs=1e-6) and after > 0
    for name in ("Correlation (-1 to 1)", "Jacobian determinant (1 keeps the volume) minimum"):
        for old, new in zip(first[name], again[name]):
            assert (old == new == "") or number(old) == pytest.approx(number(new), abs=0.011)


@pytest.mark.slow
def test_the_result_is_measured_with_the_volumes_that_it_belongs_to(ready, scripted):
    register(ready, scripted)
    first = rows(ready)
    ready.choose(fixedSelector=add_volume(a_blob_image(a_geometry("RAS", SMALL), 9), "other"))
    measure(ready)
    again = rows(ready)
    for name in ("Correlation (-1 to 1)", "Mutual information"):
        assert list(map(number, again[name])) == pytest.approx(list(map(number, first[name])), abs=2e-3)


def test_the_button_says_what_is_missing(ready, scripted, scene):
    ready.ui.resultSection.collapsed = False
    button = ready.ui.measureButton
    assert (button.enabled, button.toolTip) == (False, "There is no result to measure. Register first.")
    forward = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "of somebody else")
    ready.widget.panel.parameters.forwardTransform = forward
    assert button.enabled
    ready.choose(movingSelector=None)
    assert (button.enabled, button.toolTip) == (False, "Choose the fixed and the moving volume of the result.")


@pytest.mark.slow
def test_unfit_landmarks_leave_the_table_as_it_was(ready, scripted, scene):
    register(ready, scripted)
    add_points(ready, "fixed")
    add_points(ready, "moving", 3)
    before = content(scene)
    assert "has 2 placed points and moving points 3" in measure(ready)
    assert content(scene) == before
