"""The section for many pairs: folders, tables and the data tree become a table of results in the scene."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
import vtk
from support import fake_batch
from support.mrml_nodes import add_volume
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.io.images import read_image, write_image

SHOWN = ["id", "status", "sentence"]


@pytest.fixture
def panel(a_module_widget, tmp_path):
    """With the section open, an output folder chosen, and a model that takes no time."""
    panel = a_module_widget()
    panel.ui.batchSection.collapsed = False
    panel.widget.panel.parameters.model = "linear"
    panel.widget.panel.parameters.affine = "centre"
    yield panel
    if panel.frame is not None and section(panel).working:
        section(panel)._task._running.kill()


@pytest.fixture
def volumes(scene):
    return [add_volume(a_blob_image(a_geometry(name)), f"scan <{name}>") for name in ("RAS", "oblique")]


@pytest.fixture
def a_folder(hierarchy, volumes):
    """A folder of the data tree with both volumes."""
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "visit")
    for node in volumes:
        hierarchy.CreateItem(folder, node)
    return folder


def section(panel):
    return panel.widget.panel.batch


def register(panel):
    panel.click("batchButton")
    panel.wait(lambda: not section(panel).working, timeout_s=240)


def cells(table, columns=SHOWN):
    content = table.GetTable()
    return [
        [content.GetColumnByName(name).GetValue(row) for name in columns] for row in range(content.GetNumberOfRows())
    ]


def a_table(scene, *rows):
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "pairs")
    content = vtk.vtkTable()
    for at, name in enumerate(rows[0]):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows[1:]:
            column.InsertNextValue(row[at])
        content.AddColumn(column)
    node.SetAndObserveTable(content)
    return node


def test_the_button_says_what_is_missing(panel, tmp_path):
    button = panel.ui.batchButton
    assert (button.enabled, button.toolTip) == (
        False,
        "Choose a folder of images, a table of pairs, or a folder of the data tree.",
    )
    panel.ui.batchSourceEdit.currentPath = str(tmp_path)
    assert (button.enabled, button.toolTip) == (False, "Choose an output folder.")
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    assert button.enabled and not panel.ui.cancelBatchButton.enabled
    kept = panel.widget.panel.parameters
    assert (kept.batchSource, kept.batchOutput) == (str(tmp_path), str(tmp_path / "out"))
    kept.batchOutput = ""
    assert panel.ui.batchOutputEdit.currentPath == "" and not button.enabled


@pytest.mark.slow
def test_a_folder_of_the_data_tree_is_registered_and_skipped_the_second_time(panel, scene, a_folder, tmp_path, dialogs):
    panel.ui.batchFolderComboBox.setCurrentItem(a_folder)
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    assert (panel.ui.batchReportButton.enabled, panel.ui.batchReportButton.toolTip) == (
        False,
        "The output folder has no report yet.",
    )
    register(panel)
    panel.click("batchReportButton")
    assert dialogs.opened == [(tmp_path / "out" / "report.html").as_uri()]
    assert panel.ui.batchStatusLabel.text == "2 pairs registered, 0 already done, 0 failed."
    table = panel.widget.panel.parameters.batchResults
    assert table.GetScene() is scene
    found = cells(table)
    assert [row[1:] for row in found] == [["done", ""], ["done", ""]]
    moved = read_image(tmp_path / "out" / found[0][0] / "moved.nii.gz")
    assert moved.geometry.matches(a_geometry("RAS"))
    before = scene.GetNumberOfNodes()
    register(panel)
    assert panel.ui.batchStatusLabel.text == "0 pairs registered, 2 already done, 0 failed."
    assert panel.widget.panel.parameters.batchResults is table and scene.GetNumberOfNodes() == before
    assert [row[1] for row in cells(table)] == ["unchanged", "unchanged"]


@pytest.mark.slow
def test_a_table_names_volumes_of_the_scene_and_files(panel, scene, volumes, tmp_path):
    write_image(a_blob_image(a_geometry("LAS")), tmp_path / "file.nii.gz")
    good = [volumes[0].GetName(), str(tmp_path / "file.nii.gz"), "good"]
    rows = [["fixed", "moving", "id"], good, [volumes[0].GetName(), "nowhere", "bad"]]
    panel.choose(batchTableSelector=a_table(scene, *rows))
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    register(panel)
    assert panel.ui.batchStatusLabel.text == "1 pairs registered, 0 already done, 1 failed."
    good, bad = cells(panel.widget.panel.parameters.batchResults)
    assert good == ["good", "done", ""] and bad[:2] == ["bad", "failed"] and "does not exist" in bad[2]


def test_a_table_that_cannot_be_used_is_one_sentence(panel, scene, tmp_path):
    panel.choose(batchTableSelector=a_table(scene, ["fixed", "moved"], ["a", "b"]))
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    register(panel)
    assert "has no column moving" in panel.ui.batchStatusLabel.text
    assert panel.ui.batchButton.enabled
    assert panel.widget.panel.parameters.batchResults is None


def test_a_cancelled_batch_leaves_what_was_done_in_the_scene(panel, scene, tmp_path):
    section(panel).command = fake_batch.command("waits")
    panel.ui.batchSourceEdit.currentPath = str(tmp_path)
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    panel.click("batchButton")
    panel.wait(lambda: "Registering" in panel.ui.batchStatusLabel.text)
    assert not panel.ui.batchButton.enabled and panel.ui.registerButton.toolTip != "A batch is running."
    panel.click("cancelBatchButton")
    panel.wait(lambda: not section(panel).working)
    assert panel.ui.batchStatusLabel.text == "Stopped after 1 of 2 pairs, which are kept."
    (table,) = [node for node in slicer.util.getNodesByClass("vtkMRMLTableNode") if "results" in node.GetName()]
    assert cells(table) == [["one", "failed", "It is missing."]]
    assert panel.ui.batchButton.enabled


def test_a_fault_of_the_command_is_told(panel, tmp_path):
    section(panel).command = fake_batch.command("crashes")
    panel.ui.batchSourceEdit.currentPath = str(tmp_path)
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    register(panel)
    assert panel.ui.batchStatusLabel.text.startswith("The batch ended with a fault of the program (exit code 1")


def test_a_folder_without_volumes_is_refused(panel, hierarchy, tmp_path):
    panel.ui.batchFolderComboBox.setCurrentItem(hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "empty"))
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    register(panel)
    assert panel.ui.batchStatusLabel.text == "empty holds no volumes. Choose a folder of the data tree with some."
