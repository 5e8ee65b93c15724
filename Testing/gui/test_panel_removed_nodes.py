"""Nodes that are removed while their registration ends are named."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import is_idle, the_sentence
from VoxelMorphLib.bridge.background.steps import Task

STAGES = ("", "Jacobian map", "Measuring")


@pytest.fixture
def remove_at(ready, scripted, scene, monkeypatch):
    """Register, and remove a node as soon as the panel says a text; "" stands for the end of the registration."""

    def remove(node, stage: str) -> str:
        poll, say, said = Task.poll, ready.widget.panel.progress.progress, []

        def poll_and_remove(task, *arguments):
            reached = said[-1:] == [stage] if stage else bool(ready.widget.panel.parameters.forwardTransform)
            if reached and node.GetScene() is not None:
                scene.RemoveNode(node)
            poll(task, *arguments)

        def hear(fraction, text):
            said.append(text)
            say(fraction, text)

        monkeypatch.setattr(Task, "poll", poll_and_remove)
        monkeypatch.setattr(ready.widget.panel.progress, "progress", hear)
        ready.click("registerButton")
        scripted.finish()
        ready.wait(lambda: is_idle(ready))
        return the_sentence(ready)

    return remove


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("index", [0, 1])
def test_the_volume_that_is_gone_is_named(ready, remove_at, volumes, index, stage):
    ready.widget.panel.parameters.overlay = "jacobian"
    name = volumes[index].GetName()
    sentence = remove_at(volumes[index], stage)
    assert sentence.startswith(f"Registered, but: {name} ")
    assert "no longer in the scene" in sentence or "left the scene" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fixedVolume", "forwardTransform"])
def test_what_a_map_lacks_is_named(ready, scripted, scene, name):
    ready.click("registerButton")
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    node = getattr(ready.widget.panel.parameters, name)
    title = node.GetName()
    box = ready.ui.overlayComboBox
    box.setCurrentIndex(box.findData("jacobian"))
    box.activated.emit(box.currentIndex)
    scene.RemoveNode(node)
    ready.wait(lambda: is_idle(ready))
    assert the_sentence(ready) == f"{title} is no longer in the scene. Load it again and repeat."
