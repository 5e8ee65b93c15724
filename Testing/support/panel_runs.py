"""Registrations through the panel: two small volumes, the worker that computes, and the sentence that remains."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from VoxelMorphLib.bridge.background.worker import WorkerClient

from .few_steps import IN_WORKER
from .tiny_networks import TINY
from .volumes import a_blob_image, a_geometry
from .workers import ONE_THREAD, patched_command, write_tiny_network

SMALL = (14, 14, 14)


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


@pytest.fixture
def volumes(scene):
    from .mrml_nodes import add_volume

    return [add_volume(a_blob_image(a_geometry("RAS", SMALL), seed), f"volume {seed}") for seed in (1, 2)]


@pytest.fixture
def ready(panel, volumes):
    """The panel with two volumes chosen and little time for the optimisation."""
    panel.choose(fixedSelector=volumes[0], movingSelector=volumes[1])
    panel.ui.budgetSlider.value = 1
    return panel


@pytest.fixture
def scripted(ready):
    """A worker under the test's control."""
    from .scripted_worker import ScriptedWorker

    worker = ScriptedWorker()
    give(ready, worker)
    return worker


@pytest.fixture
def real(ready):
    """A worker process, whose optimisations take a few steps."""
    worker = WorkerClient(patched_command(IN_WORKER), environment=ONE_THREAD, silence_s=60)
    give(ready, worker)
    return worker


@pytest.fixture
def during(ready, scripted, monkeypatch):
    """Give what is done while packages are installed, as the application's event loop would."""

    def give(work) -> None:
        logic = type(ready.widget.panel.logic)
        for name in ("ensurePackages", "ensureTrainingPackages", "ensureReportPackages"):
            monkeypatch.setattr(logic, name, lambda _self, *_arguments: work(), raising=False)

    return give


@pytest.fixture
def attended(monkeypatch):
    """A person sits in front of the application, which is in testing mode otherwise, and may agree to installations."""
    monkeypatch.setattr("VoxelMorphLib.bridge.install.Installer.is_attended", lambda _self: True)


@pytest.fixture
def the_library():
    """Other tests keep the modules of the library that they imported, and find none that was loaded anew."""

    def loaded() -> dict:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "VoxelMorphLib"}

    before = loaded()
    yield before
    for name in loaded():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of models; it does not exist yet."""
    folder = tmp_path / "models"
    monkeypatch.setenv("VXM_CACHE", str(folder))
    return folder


@pytest.fixture
def hierarchy(scene):
    """The data tree, emptied after the test."""
    import slicer

    node = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    yield node
    node.RemoveAllItems(False)


def give(panel, worker) -> None:
    """Let the panel use this worker from now on."""
    runner = panel.widget.panel.runner
    if runner._worker is not None:
        runner._worker.close()
    runner._worker, runner.makeWorker = None, lambda: worker


def a_process(panel, code: str, **options) -> WorkerClient:
    """Make the panel use a process that runs `code` instead of the library's worker."""
    worker = WorkerClient([sys.executable, "-c", code], **options)
    give(panel, worker)
    return worker


def is_idle(panel) -> bool:
    """Whether nothing runs."""
    return not panel.widget.panel.working


def sentence_after(panel, button: str, timeout_s: float = 60) -> str:
    """Click and wait for the end; the panel must be usable then, and the program not at fault."""
    panel.click(button)
    panel.wait(lambda: is_idle(panel), timeout_s)
    text = the_sentence(panel)
    assert "fault of VoxelMorph" not in text
    return text


def sentence_after_register(panel, timeout_s: float = 60) -> str:
    """What Register ends with."""
    return sentence_after(panel, "registerButton", timeout_s)


def registers(panel, timeout_s: float = 90) -> bool:
    """Whether a click on Register ends with a result."""
    panel.ui.budgetSlider.value = 1
    panel.click("registerButton")
    panel.wait(lambda: is_idle(panel), timeout_s)
    return panel.ui.statusLabel.text.startswith("Done")


def reloaded(panel, scene, folder: Path) -> None:
    """Save the scene, close it, and load it again."""
    scene.SetURL(str(folder / "scene.mrml"))
    scene.Commit()
    scene.Clear(0)
    scene.Connect()
    panel.leave()
    panel.enter()


def import_weights(panel, path: Path) -> None:
    """Import a weight file, and wait for the end of it."""
    panel.widget.panel.models.importFile(str(path))
    panel.wait(lambda: is_idle(panel))


def the_sentence(panel) -> str:
    """What went wrong, on a panel that is usable again."""
    assert panel.ui.statusIconLabel.isVisibleTo(panel.frame)
    assert not panel.ui.progressBar.isVisibleTo(panel.frame)
    assert panel.ui.inputsSection.enabled
    assert not panel.ui.cancelButton.enabled
    text = panel.ui.statusLabel.text
    assert text
    assert "Traceback" not in text
    return text


def a_weight_file(folder: Path) -> bytes:
    """Valid weights of a network that takes any small volume."""
    return write_tiny_network(folder / "written.safetensors").read_bytes()


def write_catalogue(
    folder: Path, content: bytes, url: str | None, file: str = "tiny-model.safetensors", **changed
) -> None:
    """A catalogue of the user's own with one model, "tiny-model", whose file is `content`; `changed` facts follow."""
    entry = {
        "id": "tiny-model",
        "title": "Tiny",
        "description": "Random weights.",
        "architecture": {"class": "VxmDense", "arguments": {"features": TINY}},
        "file": file,
        "url": url,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "format": "safetensors",
        "licence": "Apache-2.0",
        **changed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.json").write_text(json.dumps({"models": [entry]}), encoding="utf-8")
