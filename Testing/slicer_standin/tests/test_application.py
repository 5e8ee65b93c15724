"""slicer.app: settings, files, modules, what happens when it ends, and dialogs that the test answers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed", exc_type=ImportError)

import slicer

from slicer_standin.installation import slicer_sources


@pytest.fixture
def a_volume(scene):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    return slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([2.0, 1.0, 3.0, 1.0]), name="ramp")


@pytest.mark.parametrize("name", ["ScriptedLoadableModule", "i18n", "parameterNodeWrapper", "util"])
def test_slicers_own_python_files_are_used_where_they_are_given(scene, name):
    sources = slicer_sources()
    if sources is None:
        pytest.skip("SLICER_PY does not name the folder Base/Python of Slicer's sources")
    assert Path(sys.modules[f"slicer.{name}"].__file__).is_relative_to(sources)


def test_a_wrong_folder_of_slicers_sources_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("SLICER_PY", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="SLICER_PY"):
        slicer_sources()


def test_the_application_knows_the_scene_and_the_logics(application, scene):
    assert slicer.app.mrmlScene() is slicer.mrmlScene is scene
    assert slicer.app.applicationLogic() is application.logic
    assert slicer.app.moduleLogic("Volumes") is slicer.modules.volumes.logic() is application.logics["Volumes"]


def test_the_application_is_in_testing_mode_without_main_window(scene):
    assert slicer.app.testingEnabled()
    assert slicer.app.layoutManager() is None
    assert slicer.util.mainWindow() is None


def test_the_version_can_be_asked_for(scene):
    assert (slicer.app.majorVersion, slicer.app.minorVersion) == (5, 12)
    with pytest.raises(AttributeError, match="not writable"):
        slicer.app.majorVersion = 6


def test_settings_last_for_one_test(scene):
    assert slicer.app.settings().allKeys() == ()
    slicer.app.userSettings().setValue("Demo/Test", "kept")
    assert slicer.util.settingsValue("Demo/Test", "") == "kept"


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_volumes_are_saved_and_loaded(a_volume, tmp_path, suffix):
    path = str(tmp_path / f"ramp{suffix}")
    assert slicer.util.saveNode(a_volume, path)
    loaded = slicer.util.loadVolume(path)
    assert loaded.GetName().startswith("ramp")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(a_volume))


def test_transforms_are_saved_and_loaded(scene, tmp_path):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = np.array([[1, 0, 0, 4], [0, 1, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1.0]])
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    path = str(tmp_path / "shift.h5")
    assert slicer.util.saveNode(node, path)
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(slicer.util.loadTransform(path)), matrix)


def test_a_missing_file_is_not_loaded(scene, tmp_path):
    with pytest.raises(RuntimeError, match=r"absent\.nrrd"):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))


def test_the_end_of_the_application_is_announced(scene):
    heard = []
    slicer.app.connect("aboutToQuit()", lambda: heard.append("quit"))
    slicer.app.connect("applicationStateChanged(Qt::ApplicationState)", heard.append)
    slicer.app.aboutToQuit.emit()
    assert heard == ["quit"]


def test_connections_to_the_application_end_with_the_test(scene):
    slicer.app.aboutToQuit.emit()
    assert not slicer.app.aboutToQuit.disconnect()


def test_messages_are_remembered(scene, dialogs):
    slicer.util.errorDisplay("It failed", windowTitle="Demo")
    slicer.util.infoDisplay("It worked")
    assert [(item.kind, item.text) for item in dialogs.asked] == [
        ("errorDisplay", "It failed"),
        ("infoDisplay", "It worked"),
    ]


def test_questions_are_answered_in_order(scene, dialogs):
    dialogs.answer(True, False)
    assert slicer.util.confirmOkCancelDisplay("Install 200 MB?")
    assert not slicer.util.confirmYesNoDisplay("Really?")
    assert dialogs.texts == ["Install 200 MB?", "Really?"]
    with pytest.raises(AssertionError, match="does not answer this dialog"):
        slicer.util.confirmOkCancelDisplay("And now?")
    assert dialogs.unanswered == ["And now?"]
    dialogs.unanswered.clear()  # the fixture fails the test for them


def test_files_and_inputs_are_answered(scene, dialogs):
    import qt

    dialogs.answer("weights.h5", "", "My model")
    assert qt.QFileDialog.getOpenFileName(None, "Import weights", "", "Weights (*.h5)") == "weights.h5"
    assert qt.QFileDialog.getExistingDirectory(None, "Folder") == ""
    assert qt.QInputDialog.getText(None, "Name", "Name:") == "My model"
    assert dialogs.texts[0].startswith("Import weights")


def test_a_button_of_the_modules_own_dialog_is_clicked(scene, dialogs):
    import qt

    box = qt.QMessageBox()
    box.text = "Install PyTorch?"
    install = box.addButton("&Install", qt.QMessageBox.AcceptRole)
    box.addButton("Not now", qt.QMessageBox.RejectRole)
    dialogs.answer("Install", "Not now")
    box.exec_()
    assert box.clickedButton() is install
    box.exec_()
    assert box.clickedButton() is not install
    assert dialogs.texts == ["Install PyTorch?"] * 2


def test_another_dialog_is_answered_by_a_function(scene, dialogs):
    import qt

    dialog = qt.QDialog()
    dialog.windowTitle = "Licence"
    dialogs.answer(lambda shown: shown.accept())
    assert dialog.exec_() == qt.QDialog.Accepted
    assert dialogs.texts == ["Licence"]


def test_opened_folders_are_remembered(scene, dialogs, tmp_path):
    import qt

    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(tmp_path)))
    assert dialogs.opened == [tmp_path.as_uri()]
