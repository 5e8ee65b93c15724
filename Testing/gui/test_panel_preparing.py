"""Before a run begins: while packages are installed nothing else can be started, and whatever fails is told."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import is_idle, the_sentence
from VoxelMorphLib.core.errors import WorkerError

BUTTONS = ("registerButton", "registerSequenceButton", "applyButton", "checkTrainingButton", "trainButton")


def enabled(panel) -> list[str]:
    return [name for name in BUTTONS if getattr(panel.ui, name).enabled]


@pytest.mark.slow
def test_nothing_else_starts_while_packages_are_installed(ready, scripted, during):
    seen = []
    during(lambda: seen.append((enabled(ready), ready.ui.registerButton.toolTip, ready.ui.inputsSection.enabled)))
    ready.click("registerButton")
    assert seen == [([], "A registration or an installation is running.", False)]
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text.startswith("Done") and "registerButton" in enabled(ready)


def test_a_training_that_installs_holds_the_registration_back(ready, during, tmp_path):
    seen = []
    ready.ui.trainingSection.collapsed = False
    (tmp_path / "images").mkdir()
    ready.ui.trainingImageListEdit.currentPath = str(tmp_path / "images")
    ready.ui.trainingOutputDirEdit.currentPath = str(tmp_path / "out")
    ready.widget.panel.training.command = ["no such command"]
    during(lambda: seen.append(enabled(ready)))
    ready.click("checkTrainingButton")
    assert seen == [[]]
    assert "registerButton" in enabled(ready)


def test_a_scene_that_is_closed_meanwhile_ends_it(ready, scene, during):
    def close() -> None:
        scene.Clear(0)
        ready.widget.setParameterNode(None)

    during(close)
    ready.click("registerButton")
    assert ready.ui.statusLabel.text == "The scene was closed meanwhile; nothing was done."
    assert is_idle(ready)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "The memory of this computer does not suffice. Crop the volumes, or close other programs."),
        (RuntimeError("pip fell over"), "This failed by a fault of VoxelMorph (RuntimeError: pip fell over)."),
        (AttributeError("uninstallTorch"), "This failed by a fault of VoxelMorph (AttributeError: uninstallTorch)."),
    ],
)
def test_an_error_of_any_kind_leaves_a_usable_panel(ready, during, caplog, error, sentence):
    def fail() -> None:
        raise error

    during(fail)
    ready.click("registerButton")
    assert the_sentence(ready).startswith(sentence)
    assert "registerButton" in enabled(ready)
    assert type(error).__name__ in caplog.text  # with its traceback, for a report


def test_a_training_too(ready, during, dialogs, caplog, tmp_path):
    def fail() -> None:
        raise RuntimeError("pip fell over")

    ready.ui.trainingSection.collapsed = False
    (tmp_path / "images").mkdir()
    ready.ui.trainingImageListEdit.currentPath = str(tmp_path / "images")
    ready.ui.trainingOutputDirEdit.currentPath = str(tmp_path / "out")
    during(fail)
    ready.click("checkTrainingButton")
    assert "pip fell over" in ready.ui.trainingStatusLabel.text
    assert "checkTrainingButton" in enabled(ready)


def test_what_a_worker_says_of_its_fault_reaches_the_log(ready, scripted, caplog):
    ready.click("registerButton")
    scripted.fail(
        WorkerError("The registration failed by a fault of VoxelMorph. Please report it.", "line 7, in forward")
    )
    ready.wait(lambda: is_idle(ready))
    assert "Please report it" in the_sentence(ready)
    assert "line 7, in forward" in caplog.text
