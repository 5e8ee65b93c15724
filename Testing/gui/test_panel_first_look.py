"""Devices are looked for when the panel is first entered: in a process of its own, and without a word."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer

ANSWER = """print('[{"name": "cuda:0", "title": "a card", "free_bytes": 1073741824}, {"name": "cpu", "title": "c"}]')"""


@pytest.fixture
def panel(a_module_widget):
    return a_module_widget()


@pytest.fixture
def searches(panel, monkeypatch):
    """The searches that began; outside of tests the application looks by itself, and PyTorch is there."""
    module = sys.modules["VoxelMorphLib.bridge.panel.device_section"]
    begun, steps = [], module.device_steps

    def begin():
        begun.append(steps([sys.executable, "-c", ANSWER]))
        return begun[-1]

    monkeypatch.setattr(module, "device_steps", begin)
    monkeypatch.setattr(module, "check", lambda _packages: [])
    monkeypatch.setattr(slicer.app, "_testing", False)
    return begun


def devices(panel) -> list[str]:
    box = panel.ui.deviceComboBox
    return [box.itemData(index) for index in range(box.count)]


def test_devices_are_offered_once_the_panel_was_entered(panel, searches):
    said = panel.ui.statusLabel.text
    panel.enter()
    assert panel.widget.panel.devices.searching
    panel.wait(lambda: not panel.widget.panel.devices.searching)
    assert devices(panel) == ["auto", "cuda:0", "cpu"]
    assert "1.0 GiB free" in panel.ui.deviceComboBox.itemText(1)
    assert panel.ui.statusLabel.text == said
    assert panel.ui.findDevicesButton.enabled


def test_devices_are_looked_for_once(panel, searches):
    panel.enter()
    panel.wait(lambda: not panel.widget.panel.devices.searching)
    panel.leave()
    panel.enter()
    assert len(searches) == 1


def test_a_failed_look_is_not_told(panel, searches, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ANSWER", "raise SystemExit(3)")
    said = panel.ui.statusLabel.text
    panel.enter()
    panel.wait(lambda: not panel.widget.panel.devices.searching)
    assert panel.ui.statusLabel.text == said
    assert devices(panel) == ["auto"]


def test_nothing_is_looked_for_without_pytorch(panel, searches, monkeypatch):
    monkeypatch.setattr(sys.modules["VoxelMorphLib.bridge.panel.device_section"], "check", lambda packages: packages)
    panel.enter()
    assert searches == []


def test_nothing_is_looked_for_in_tests_of_the_application(panel, searches, monkeypatch):
    monkeypatch.setattr(slicer.app, "_testing", True)
    panel.enter()
    assert searches == []


def test_a_user_can_still_look_again(panel, searches):
    panel.ui.advancedSection.collapsed = False
    panel.enter()
    panel.wait(lambda: not panel.widget.panel.devices.searching)
    panel.click("findDevicesButton")
    panel.wait(lambda: not panel.widget.panel.devices.searching)
    assert len(searches) == 2
    assert panel.ui.statusLabel.text.startswith("Found: cuda:0: a card, 1.0 GiB free")


def test_a_search_that_cannot_begin_is_told(panel, searches, monkeypatch, tmp_path):
    module = sys.modules["VoxelMorphLib.bridge.panel.device_section"]
    monkeypatch.undo()
    monkeypatch.setattr(module, "python_command", lambda: [str(tmp_path / "nothing")])
    panel.widget.panel.devices.find()
    assert panel.ui.statusLabel.text.startswith("The devices cannot be looked for (No such file or directory)")
    assert panel.ui.findDevicesButton.enabled and not panel.widget.panel.devices.searching
