"""Packages that are missing at the click: one question, one installation, and one sentence where that fails."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import is_idle, sentence_after_register
from support.scene_content import content
from VoxelMorphLib.bridge import install as dependencies
from VoxelMorphLib.bridge.install import Installed, Installer


class FakePython(Installed):
    """An environment in which only what a test puts there is installed."""

    def __init__(self):
        self.versions: dict[str, str] = {}
        self.loaded: set[str] = set()

    def version(self, name):
        return self.versions.get(name)

    def is_importable(self, name):
        return name in self.versions

    def is_loaded(self, name):
        return name in self.loaded


class FakeInstaller(Installer):
    """Installs into a `FakePython`, or fails as a test says.

    Args:
        python: what it installs into.
        extension: whether the PyTorch extension is there.
        error: raised by every installation.
        delivers: whether an installation changes anything.
    """

    def __init__(self, python):
        self.python, self.extension, self.error, self.delivers = python, True, None, True
        self.asked: list[str] = []

    def pip_install(self, requirements):
        self._install(*requirements)

    def torch_logic(self):
        return self if self.extension else None

    def installTorch(self, askConfirmation, torchVersionRequirement):
        assert not askConfirmation, "the question was asked already"
        self._install(f"torch{torchVersionRequirement}")
        return "torch"

    def install_torch_extension(self):
        self._install("PyTorch extension")
        return self.delivers

    def _install(self, *requirements):
        self.asked += requirements
        if self.error is not None:
            raise self.error
        if self.delivers:
            self.python.versions.update(item.split(">=") for item in requirements if ">=" in item)


@pytest.fixture
def unattended(monkeypatch):
    """What installs, in an environment without any package, in testing mode."""
    installer = FakeInstaller(FakePython())
    monkeypatch.setattr(dependencies, "Installer", lambda: installer)
    monkeypatch.setattr(dependencies, "Installed", lambda: installer.python)
    return installer


@pytest.fixture
def installer(attended, unattended):
    """The same with a person who answers."""
    return unattended


@pytest.mark.slow
def test_agreeing_installs_and_registers(ready, scripted, dialogs, installer):
    dialogs.answer(True)
    ready.click("registerButton")
    scripted.finish()
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text == "Done: volume 2 moved"
    assert installer.asked == ["torch>=2.1"]
    (question,) = dialogs.texts
    assert "- torch 2.1 or newer to register volumes (not installed; download: about 200 MB" in question
    assert "extension" not in question
    ready.click("registerButton")
    assert len(dialogs.asked) == 1
    ready.click("cancelButton")


def test_a_model_asks_for_the_package_of_its_format(ready, scripted, dialogs, installer):
    ready.widget.panel.parameters.model = "hippocampus-T1"
    dialogs.answer(True, True)  # the licence of the model, then the packages
    ready.click("registerButton")
    assert installer.asked == ["torch>=2.1", "safetensors>=0.4"]
    assert len(scripted.jobs) == 1
    ready.click("cancelButton")


def no_network(installer):
    installer.error = RuntimeError("no route to host\nand many lines of pip")


def nothing_delivered(installer):
    installer.delivers = False


def without_extension(installer):
    installer.extension = False


def extension_not_delivered(installer):
    installer.extension = installer.delivers = False


def loaded_already(installer):
    installer.python.loaded = {"torch"}


FAILURES = {
    no_network: "torch could not be installed (no route to host). Check the network connection and the free space, "
    "then try again.",
    nothing_delivered: "torch could not be installed (it is still not usable afterwards). Check the network "
    "connection and the free space, then try again.",
    without_extension: "The PyTorch extension was installed. Restart Slicer, then repeat: PyTorch itself is "
    "installed then.",
    extension_not_delivered: "the PyTorch extension could not be installed (the catalogue of extensions did not "
    "deliver it). Check the network connection and the free space, then try again.",
    loaded_already: "torch was replaced. Restart Slicer, then repeat.",
}


@pytest.mark.parametrize("fail", FAILURES)
def test_what_prevents_a_registration_is_told(ready, scene, scripted, dialogs, installer, fail):
    fail(installer)
    before = content(scene)
    dialogs.answer(True)
    assert sentence_after_register(ready) == FAILURES[fail]
    assert scripted.jobs == []
    assert content(scene) == before
    assert ready.ui.registerButton.enabled
    assert len(dialogs.asked) == 1


def test_the_question_names_the_missing_extension(ready, scripted, dialogs, installer):
    installer.extension = False
    dialogs.answer(False)
    assert "Nothing was installed. Without torch this cannot be done." in sentence_after_register(ready)
    assert "- the PyTorch extension, which chooses the PyTorch that fits this computer" in dialogs.texts[0]
    assert installer.asked == []


def test_in_testing_mode_nothing_is_installed(ready, scene, scripted, dialogs, unattended):
    before = content(scene)
    assert "Nothing was installed. Without torch this cannot be done." in sentence_after_register(ready)
    assert dialogs.asked == [] and unattended.asked == [] and scripted.jobs == []
    assert content(scene) == before


def test_after_a_failed_installation_the_next_click_asks_again(ready, scripted, dialogs, installer):
    no_network(installer)
    dialogs.answer(True, True)
    sentence_after_register(ready)
    installer.error = None
    ready.click("registerButton")
    assert len(dialogs.asked) == 2
    assert len(scripted.jobs) == 1
    ready.click("cancelButton")
