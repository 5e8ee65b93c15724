"""What goes wrong is said in one sentence; the panel is usable at once and the scene is as before the click."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
import vtk
from slicer_standin.panel import spin
from support.panel_runs import SMALL, a_process, give, import_weights, is_idle, sentence_after_register, the_sentence
from support.scene_content import content
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.devices import Device
from VoxelMorphLib.core.errors import DeviceError, MemoryShortError


@pytest.mark.slow
def test_a_worker_that_is_killed(ready, scene, real):
    ready.ui.budgetSlider.value = 60
    before = content(scene)
    ready.click("registerButton")
    ready.wait(lambda: "Optimis" in ready.ui.statusLabel.text, 90)
    os.kill(real.pid, signal.SIGKILL)
    ready.wait(lambda: is_idle(ready))
    assert "worker process ended unexpectedly (signal 9" in the_sentence(ready)
    assert content(scene) == before
    ready.ui.budgetSlider.value = 1
    ready.click("registerButton")
    ready.wait(lambda: is_idle(ready), 90)
    assert ready.ui.statusLabel.text.startswith("Done")


@pytest.mark.slow
def test_a_worker_that_never_answers_is_ended(ready, scene):
    before = content(scene)
    a_process(ready, "import time; time.sleep(600)", silence_s=0.5)
    assert "has not answered for 0.5 s" in sentence_after_register(ready)
    assert content(scene) == before


def test_a_worker_that_never_answers_can_be_cancelled(ready, scene):
    before = content(scene)
    worker = a_process(ready, "import time; time.sleep(600)")
    ready.click("registerButton")
    ready.click("cancelButton")
    assert is_idle(ready)
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert content(scene) == before
    assert worker.pid is None


def test_a_worker_that_cannot_be_started(ready, scene):
    before = content(scene)
    give(ready, WorkerClient([str(Path("no") / "such" / "python")]))
    assert "could not be started" in sentence_after_register(ready)
    assert content(scene) == before


@pytest.mark.slow
def test_a_full_disk(ready, scene, real, monkeypatch):
    before = content(scene)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=1000))
    assert "has 0 MB left" in sentence_after_register(ready, 90)
    assert content(scene) == before


def test_a_temporary_folder_that_is_gone(ready, scene, tmp_path):
    before = content(scene)
    give(ready, WorkerClient(temporary_folder=tmp_path / "gone"))
    assert "temporary folder" in sentence_after_register(ready)
    assert content(scene) == before


@pytest.mark.slow
def test_weights_that_are_damaged(ready, scene, tmp_path, monkeypatch, real):
    monkeypatch.setenv("VXM_CACHE", str(tmp_path))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"this is no network" * 100)
    import_weights(ready, broken)
    before = content(scene)
    text = sentence_after_register(ready, 90)
    assert "broken.safetensors" in text
    assert content(scene) == before
    assert ready.ui.registerButton.enabled


def test_a_volume_that_is_removed_during_the_run(ready, scene, volumes, scripted):
    ready.click("registerButton")
    scene.RemoveNode(volumes[1])
    before = content(scene)
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    assert "volume 2 left the scene" in the_sentence(ready)
    assert content(scene) == before
    assert ready.ui.registerButton.toolTip == "Choose a moving volume."


def test_an_output_that_is_removed_during_the_run(ready, scene, scripted):
    moved = ready.ui.movedVolumeSelector.addNode()
    name = moved.GetName()
    ready.click("registerButton")
    scene.RemoveNode(moved)
    before = content(scene)
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    assert f"{name} left the scene" in the_sentence(ready)
    assert content(scene) == before


@pytest.mark.slow
def test_a_scene_that_is_closed_during_the_run(ready, scene, scripted):
    ready.click("registerButton")
    slicer.mrmlScene.Clear(0)
    assert is_idle(ready)
    after_close = content(scene)
    scripted.finish()
    scripted.poll()
    spin(0.2)
    assert content(scene) == after_close
    assert ready.ui.registerButton.toolTip == "Choose a fixed volume."
    assert not ready.ui.progressBar.isVisibleTo(ready.frame)


@pytest.mark.slow
def test_a_scene_that_is_closed_with_a_real_worker(ready, scene, real):
    ready.click("registerButton")
    ready.wait(lambda: ready.ui.progressBar.value > 0, 90)
    slicer.mrmlScene.Clear(0)
    assert is_idle(ready)
    assert real.pid is None
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_a_volume_under_a_transform_that_bends(ready, scene, volumes, scripted, dialogs):
    parent = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "bent")
    grid = slicer.vtkOrientedGridTransform()
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    grid.SetDisplacementGridData(image)
    parent.SetAndObserveTransformFromParent(grid)
    volumes[1].SetAndObserveTransformNodeID(parent.GetID())
    before = content(scene)
    dialogs.answer(False)
    assert "non-linear" in sentence_after_register(ready)
    assert dialogs.texts == [
        "volume 2 lies under the transform bent. Start from there? The new transform then contains it: place volume 2 "
        "under the new one instead."
    ]
    assert scripted.jobs == []
    assert content(scene) == before


@pytest.mark.slow
@pytest.mark.parametrize("voxels", [np.zeros(SMALL, np.float32), np.full(SMALL, np.nan, np.float32)])
def test_a_volume_that_cannot_be_registered(ready, scene, volumes, real, voxels):
    slicer.util.updateVolumeFromArray(volumes[1], voxels)
    before = content(scene)
    assert "volume 2" in sentence_after_register(ready, 90)
    assert content(scene) == before


def test_a_volume_without_voxels(ready, scene, scripted):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    ready.choose(movingSelector=empty)
    assert "empty" in sentence_after_register(ready)
    assert scripted.jobs == []


def test_a_device_that_is_gone_falls_back_once_the_devices_are_known(ready):
    ready.widget.panel.parameters.device = "cuda:7"
    assert ready.ui.deviceComboBox.currentText == "cuda:7 (not looked for yet)"
    ready.widget.panel.devices.setDevices([Device("cpu", "processor, 2 threads")])
    ready.widget.panel.update()
    assert ready.widget.panel.parameters.device == "auto"
    assert ready.ui.deviceComboBox.currentData == "auto"
    assert the_sentence(ready) == "cuda:7, chosen in this scene, does not exist here; auto is used instead"


@pytest.mark.slow
def test_a_device_that_is_gone_falls_back_when_the_run_finds_out(ready, scene, scripted):
    ready.widget.panel.parameters.device = "cuda:7"
    before = content(scene)
    ready.click("registerButton")
    scripted.fail(DeviceError("This machine has no device 'cuda:7'. Choose auto or one of cpu."))
    ready.wait(lambda: is_idle(ready))
    assert "no device 'cuda:7'" in the_sentence(ready)
    assert content(scene) == before
    ready.wait(lambda: ready.widget.panel.parameters.device == "auto", 90)
    assert the_sentence(ready) == "cuda:7, chosen in this scene, does not exist here; auto is used instead"


@pytest.mark.parametrize(("kind", "advised"), [(MemoryShortError, True), (DeviceError, False)])
def test_memory_that_does_not_suffice_is_told_with_the_remedy_of_the_panel(ready, scripted, kind, advised):
    ready.click("registerButton")
    scripted.fail(kind("cuda:0 has too little free memory."))
    ready.wait(lambda: is_idle(ready))
    text = the_sentence(ready)
    assert text.startswith("cuda:0 has too little free memory.")
    assert (f'tick "{ready.ui.allowFallbackCheckBox.text}"' in text) == advised


@pytest.mark.slow
def test_devices_are_found_in_another_process(panel):
    panel.ui.advancedSection.collapsed = False
    panel.click("findDevicesButton")
    panel.wait(lambda: not panel.widget.panel.devices.searching, 90)
    names = [panel.ui.deviceComboBox.itemData(index) for index in range(panel.ui.deviceComboBox.count)]
    assert names[0] == "auto"
    assert "cpu" in names
    assert panel.ui.statusLabel.text.startswith("Found: ")
    panel.ui.deviceComboBox.setCurrentIndex(names.index("cpu"))
    panel.ui.deviceComboBox.activated.emit(names.index("cpu"))
    assert panel.widget.panel.parameters.device == "cpu"


def test_missing_packages_that_are_declined(ready, scene, scripted, monkeypatch, dialogs, attended):
    from VoxelMorphLib.bridge.install import Installed

    monkeypatch.setattr(Installed, "version", lambda _self, _name: None)
    before = content(scene)
    dialogs.answer(False)
    ready.click("registerButton")
    assert "Nothing was installed. Without torch this cannot be done." in the_sentence(ready)
    assert "torch 2.1 or newer" in dialogs.texts[0]
    assert scripted.jobs == []
    assert content(scene) == before


def test_a_licence_that_is_declined(ready, scene, scripted, dialogs, monkeypatch, tmp_path):
    monkeypatch.setenv("VXM_CACHE", str(tmp_path))
    ready.widget.panel.parameters.model = "synthmorph-brains"
    dialogs.answer(False)
    ready.click("registerButton")
    assert ready.ui.statusLabel.text == "The licence of the model was not agreed to; nothing was done"
    assert scripted.jobs == []


def test_a_failure_after_the_registration_keeps_the_result(ready, scripted, monkeypatch):
    logic = ready.widget.panel.logic
    failing = SimpleNamespace(steps=lambda *_nodes, **_options: 1 / 0)
    monkeypatch.setattr(logic, "evaluate", failing, raising=False)
    ready.click("registerButton")
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    text = the_sentence(ready)
    assert text.startswith("Registered, but: ")
    assert "division by zero" in text
    assert ready.widget.panel.parameters.movedVolume is not None
