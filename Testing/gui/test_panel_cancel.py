"""Cancel in every stage of a real registration: the process goes, the scene stays, and Register works again."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.few_steps import IN_WORKER
from support.http_server import Page, serve
from support.panel_runs import a_weight_file, give, is_idle, registers, write_catalogue
from support.scene_content import content
from support.workers import ONE_THREAD, is_alive, patched_command
from VoxelMorphLib.bridge.background.worker import WorkerClient

pytestmark = pytest.mark.slow

#: Stay in a stage, the first time that it is reached, and leave a file as a sign of that.
_LINGER = """
import os, pathlib, time
def linger():
    marker = pathlib.Path(os.environ["VXM_MARKER"])
    if not marker.exists():
        marker.touch()
        time.sleep(60)
"""
_AFTER_TEXT = """
report = worker._Reporter.__call__
def slow_report(self, fraction, text):
    report(self, fraction, text)
    if text.startswith(TEXT):
        linger()
worker._Reporter.__call__ = slow_report
"""
_BEFORE_FUNCTION = """
from VoxelMorphLib.worker import files
original = files.NAME
def slow(*arguments, **options):
    linger()
    return original(*arguments, **options)
files.NAME = slow
"""
_IN_STAGE = """
from VoxelMorphLib.registration import pipeline
enter = pipeline._Stage.__enter__
def slow_enter(stage):
    enter(stage)
    if stage.name == NAME:
        linger()
pipeline._Stage.__enter__ = slow_enter
"""


def after_text(text: str) -> str:
    """Code for the worker to stay where it has reported this text."""
    return _LINGER + _AFTER_TEXT.replace("TEXT", repr(text))


def before(function: str) -> str:
    """Code for the worker to stay before it calls this function of its files."""
    return _LINGER + _BEFORE_FUNCTION.replace("NAME", function)


def in_stage(name: str) -> str:
    """Code for the worker to stay in this stage of `register`."""
    return _LINGER + _IN_STAGE.replace("NAME", repr(name))


#: What the status says in each stage, and how the worker is kept in it.
STAGES = {
    "loading": ("Loading PyTorch", after_text("Loading PyTorch")),
    "reading the job": ("Loading PyTorch", before("read_request")),
    "affine start": ("Aligning", after_text("Aligning")),
    "optimisation": ("Optimising at 1/", after_text("Optimising")),
    "resampling": ("Optimising at 1/", in_stage("resample")),
    "measuring": ("Optimising at 1/", in_stage("measure")),
    "writing": ("Done", before("write_result")),
}


@pytest.fixture
def exchange(tmp_path):
    """The folder in which workers make theirs."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    return folder


@pytest.fixture
def lingering(ready, tmp_path, exchange):
    """Gives the panel a real worker that stays in a stage; returns how to tell that it is there."""
    marker = tmp_path / "reached"

    def make(code: str) -> WorkerClient:
        environment = {**ONE_THREAD, "VXM_MARKER": str(marker)}
        client = WorkerClient(patched_command(IN_WORKER + code), environment=environment, temporary_folder=exchange)
        give(ready, client)
        return client

    make.reached = marker.exists
    return make


def cancel_and_check(panel, scene, client, exchange, as_before, again: bool = True) -> None:
    """Click Cancel; then nothing may be left of the run, and the next one, where `again` asks for it, must work."""
    pid = client.pid
    assert is_alive(pid)
    panel.click("cancelButton")
    assert is_idle(panel)
    assert panel.ui.statusLabel.text == "Cancelled; the scene is as before"
    assert content(scene) == as_before
    assert client.pid is None
    panel.wait(lambda: not is_alive(pid) and not list(exchange.iterdir()), 20)
    if again:
        assert registers(panel)
        assert panel.widget.panel.parameters.movedVolume is not None


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_in_a_stage(ready, scene, lingering, exchange, stage):
    text, code = STAGES[stage]
    client = lingering(code)
    if stage == "affine start":
        ready.widget.panel.parameters.affine = "affine"
    as_before = content(scene)
    ready.click("registerButton")
    ready.wait(lambda: lingering.reached() and text in ready.ui.statusLabel.text, 40)
    # Each next run loads torch anew, which takes seconds; the last stage stands for all.
    cancel_and_check(ready, scene, client, exchange, as_before, again=stage == "writing")


def test_cancel_while_an_optimisation_computes(ready, scene, exchange):
    client = WorkerClient(environment=ONE_THREAD, temporary_folder=exchange)
    give(ready, client)
    ready.ui.budgetSlider.value = 60
    ready.widget.panel.parameters.refine = "best"  # the longest there is, so that its text is seen before it is done
    as_before = content(scene)
    ready.click("registerButton")
    ready.wait(lambda: "Optimising at 1/" in ready.ui.statusLabel.text, 90)
    cancel_and_check(ready, scene, client, exchange, as_before)


@pytest.fixture
def a_model_to_fetch(ready, tmp_path, monkeypatch):
    """A chosen model, and the slow server that has its file."""
    cache = tmp_path / "models"
    monkeypatch.setenv("VXM_CACHE", str(cache))
    weights = a_weight_file(tmp_path)
    with serve({"/tiny.safetensors": Page(weights, pause_s=0.2)}) as server:
        write_catalogue(cache, weights, server.url("/tiny.safetensors"))
        ready.widget.panel.models.refresh()
        ready.widget.panel.parameters.model = "tiny-model"
        yield server


def test_cancel_during_a_download(ready, scene, exchange, a_model_to_fetch):
    client = WorkerClient(environment=ONE_THREAD, temporary_folder=exchange)
    give(ready, client)
    as_before = content(scene)
    ready.click("registerButton")
    ready.wait(lambda: "Downloading tiny-model.safetensors" in ready.ui.statusLabel.text, 90)
    a_model_to_fetch.pages["/tiny.safetensors"].pause_s = 0
    cancel_and_check(ready, scene, client, exchange, as_before)
    assert a_model_to_fetch.ranges_asked[0] is None
    assert len(a_model_to_fetch.ranges_asked) == 2


def test_cancel_while_a_network_is_read(ready, scene, lingering, exchange, a_model_to_fetch):
    a_model_to_fetch.pages["/tiny.safetensors"].pause_s = 0
    client = lingering(after_text("Reading tiny-model.safetensors"))
    as_before = content(scene)
    ready.click("registerButton")
    ready.wait(lambda: lingering.reached() and "Reading" in ready.ui.statusLabel.text, 90)
    cancel_and_check(ready, scene, client, exchange, as_before)
