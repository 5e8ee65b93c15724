"""Looking at a result: fade, checkerboard and flicker of the fixed and the moved volume, and the line of words."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.mrml_nodes import add_linear_parent, add_volume
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.bridge.scene.checkerboard import SQUARES, mixed
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image

SMALL = (16, 16, 16)


@pytest.fixture
def layers(scene):
    return scene.AddNode(slicer.vtkMRMLSliceCompositeNode())


@pytest.fixture
def shown(a_module_widget, scene, layers):
    """The panel with a result."""
    panel = a_module_widget()
    for seed, name in enumerate(("fixedVolume", "movingVolume", "movedVolume")):
        setattr(panel.widget.panel.parameters, name, add_volume(a_blob_image(a_geometry("RAS", SMALL), seed), name))
    panel.ui.resultSection.collapsed = False
    return panel


def choose_overlay(panel, value: str) -> None:
    box = panel.ui.overlayComboBox
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def foreground(layers):
    return slicer.mrmlScene.GetNodeByID(layers.GetForegroundVolumeID())


def test_squares_alternate_and_have_equal_sides_in_mm():
    grid = Geometry((32, 16, 8), np.diag([1.0, 2.0, 4.0, 1.0]))
    ramp = np.arange(32 * 16 * 8, dtype=np.float32).reshape(32, 16, 8)
    board = mixed(Image(ramp, grid), Image(-1000 * ramp, grid))
    assert (board.min(), board.max()) == (0, 1)
    own = np.clip((ramp - np.percentile(ramp, 0.5)) / np.ptp(np.percentile(ramp, (0.5, 99.5))), 0, 1)
    is_fixed = np.isclose(board, own, atol=1e-3)
    side = 32 // SQUARES
    corners = is_fixed[::side, :: side // 2, :: side // 4]
    index = np.indices(corners.shape).sum(0)
    middle = np.abs(own[::side, :: side // 2, :: side // 4] - 0.5) > 0.01  # where both images differ
    np.testing.assert_array_equal(corners[middle], (index % 2 == 0)[middle])


def test_a_checkerboard_is_shown_alone_and_neither_listed_nor_saved(shown, layers):
    choose_overlay(shown, "checkerboard")
    board = foreground(layers)
    assert board.GetName() == "Checkerboard"
    assert board.GetHideFromEditors() and not board.GetSaveWithScene()
    assert layers.GetForegroundOpacity() == 1
    assert slicer.mrmlScene.GetNodeByID(layers.GetBackgroundVolumeID()).GetName() == "fixedVolume"
    choose_overlay(shown, "moved")
    assert foreground(layers).GetName() == "movedVolume" and layers.GetForegroundOpacity() == 0.5


def test_a_new_result_gets_a_new_checkerboard_in_the_same_node(shown, layers):
    choose_overlay(shown, "checkerboard")
    board, parameters = foreground(layers), shown.widget.panel.parameters
    before = slicer.util.arrayFromVolume(board).copy()
    slicer.util.updateVolumeFromArray(
        parameters.movedVolume, slicer.util.arrayFromVolume(parameters.fixedVolume).copy()
    )
    shown.widget.panel.update()
    assert foreground(layers) is board
    assert (slicer.util.arrayFromVolume(board) != before).any()
    assert slicer.mrmlScene.GetNodesByClass("vtkMRMLScalarVolumeNode").GetNumberOfItems() == 4


def test_without_a_common_grid_the_moved_volume_is_shown(shown, layers):
    moved = shown.widget.panel.parameters.movedVolume
    matrix = np.eye(4)
    matrix[0, 3] = 3
    add_linear_parent(moved, matrix)
    choose_overlay(shown, "checkerboard")
    assert foreground(layers) is moved


def test_without_the_tick_a_checkerboard_goes_too(shown, layers):
    choose_overlay(shown, "checkerboard")
    shown.click("showResultCheckBox")
    assert layers.GetForegroundVolumeID() is None


def test_flicker_shows_both_volumes_in_turn_and_ends_with_the_fade(shown, layers):
    shown.click("flickerCheckBox")
    for opacity in (0, 1, 0):
        shown.wait(lambda opacity=opacity: layers.GetForegroundOpacity() == opacity, 5)
    shown.click("flickerCheckBox")
    assert layers.GetForegroundOpacity() == 0.5


@pytest.mark.parametrize("end", ["leaving", "closing"])
def test_flicker_ends_with_the_panel(shown, layers, end):
    shown.click("flickerCheckBox")
    results = shown.widget.panel.results
    if end == "leaving":
        shown.leave()
    else:
        shown.widget.panel.close()
    assert not results._timer.isActive() and not shown.ui.flickerCheckBox.checked


def test_the_line_of_words_stands_over_a_table_that_is_folded_away(shown, scene):
    from VoxelMorphLib.bridge.actions.results_table import fill_table
    from VoxelMorphLib.evaluation.rows import CORRELATION, Row

    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "results")
    fill_table([Row(CORRELATION, "", 0.5, 0.9)], table)
    shown.widget.panel.parameters.resultsTable = table
    assert shown.ui.resultSummaryLabel.text == "Correlation 0.50 to 0.90."
    assert shown.ui.resultSummaryLabel.isVisibleTo(shown.frame)
    assert shown.ui.resultsTableSection.collapsed and not shown.ui.resultsTableView.isVisibleTo(shown.frame)
