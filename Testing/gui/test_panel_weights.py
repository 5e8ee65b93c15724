"""Weights that cannot be had, seen from the panel: one sentence, the scene as before, and Register works again."""

from __future__ import annotations

import hashlib
import shutil

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.few_steps import IN_WORKER
from support.http_server import Page, serve
from support.panel_runs import a_weight_file, give, import_weights, registers, sentence_after_register, write_catalogue
from support.scene_content import content
from support.workers import ONE_THREAD, patched_command
from VoxelMorphLib.bridge.background.worker import WorkerClient

pytestmark = pytest.mark.slow

FILE = "tiny-model.safetensors"
#: Bundled models lie in another folder.
BUNDLED_ELSEWHERE = """
import os, pathlib
from VoxelMorphLib.weights import store
store.BUNDLED_FOLDER = pathlib.Path(os.environ["VXM_BUNDLED"])
"""
#: Every job finds what a new process would: nothing that an earlier one has read.
FORGETFUL = """
def _forgetting(self, library=worker.Worker._library):
    self._cache = None
    return library(self)
worker.Worker._library = _forgetting
"""


class Lent:
    """A worker that its borrower cannot close."""

    def __init__(self, worker: WorkerClient):
        self._worker = worker

    def __getattr__(self, name: str):
        return getattr(self._worker, name)

    def close(self) -> None:
        """Its owner does that."""


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory):
    """The folder of models of all tests; each finds it absent."""
    return tmp_path_factory.mktemp("all") / "models"


@pytest.fixture
def cache(models_folder, monkeypatch):
    """The folder of models; it does not exist yet."""
    shutil.rmtree(models_folder, ignore_errors=True)
    monkeypatch.setenv("VXM_CACHE", str(models_folder))
    return models_folder


@pytest.fixture(scope="module")
def one_worker(models_folder):
    """Loads torch once for all tests that need no process of their own."""
    environment = {**ONE_THREAD, "VXM_CACHE": str(models_folder)}
    client = WorkerClient(patched_command(IN_WORKER + FORGETFUL), environment=environment, silence_s=60)
    yield client
    client.close()


@pytest.fixture
def lent(ready, one_worker):
    """The common process is that of the panel."""
    give(ready, Lent(one_worker))


@pytest.fixture
def weights(tmp_path):
    """The content of a valid file."""
    return a_weight_file(tmp_path)


@pytest.fixture
def server(weights):
    """Serves the file of the model."""
    with serve({f"/{FILE}": Page(weights)}) as running:
        yield running


@pytest.fixture
def downloading(ready, lent, cache, weights, server):
    """The panel with a model chosen whose file is to be fetched from the server."""
    write_catalogue(cache, weights, server.url(f"/{FILE}"))
    choose_tiny(ready)
    return ready


def choose_tiny(panel) -> None:
    """Choose the model of the own catalogue as a person does."""
    panel.widget.panel.models.refresh()
    box = panel.ui.modelComboBox
    box.setCurrentIndex(box.findData("tiny-model"))
    box.activated.emit(box.currentIndex)
    assert panel.widget.panel.parameters.model == "tiny-model"


def is_one_sentence(text: str) -> bool:
    """What is wrong and what to do, without code."""
    return "\n" not in text and text.endswith(".") and "Traceback" not in text and "fault of VoxelMorph" not in text


def test_a_good_download_registers(downloading, real, scene, cache, weights, server):
    assert "to download" in downloading.ui.modelFactsLabel.text
    assert registers(downloading)
    assert (cache / FILE).read_bytes() == weights
    assert downloading.widget.panel.parameters.movedVolume is not None
    assert "downloaded" in downloading.ui.modelFactsLabel.text
    assert registers(downloading)
    assert server.ranges_asked == [None]


def test_a_download_that_nothing_could_check_is_told_once(downloading, real, cache, weights, server):
    write_catalogue(cache, weights, server.url(f"/{FILE}"), sha256=None)
    choose_tiny(downloading)
    told = (
        f"Nobody published a checksum of {FILE}, so its first download could not be checked; from now on it must stay"
    )
    assert registers(downloading)
    assert f" {told} {hashlib.sha256(weights).hexdigest()}." in downloading.ui.statusLabel.text
    assert registers(downloading)
    assert told not in downloading.ui.statusLabel.text


ANSWERS = {
    "404": (lambda good: Page(b"gone", status=404), "answered 404"),
    "wrong checksum": (lambda good: Page(good[::-1]), "checksum"),
    "web page": (lambda good: Page(b"<html>log in</html>", content_type="text/html"), "web page"),
    "breaks off": (lambda good: Page(good, break_after=len(good) // 2), "broke off"),
    "another size": (lambda good: Page(good[:500]), "offers a file of 500 bytes"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_failed_download_is_told_and_the_next_one_registers(downloading, scene, cache, weights, server, answer):
    make, message = ANSWERS[answer]
    server.pages[f"/{FILE}"] = make(weights)
    before = content(scene)
    text = sentence_after_register(downloading, 90)
    assert message in text
    assert is_one_sentence(text)
    assert content(scene) == before
    assert not (cache / FILE).exists()
    assert downloading.ui.registerButton.enabled
    assert ("partly downloaded" in downloading.ui.modelFactsLabel.text) == (answer == "breaks off")
    server.pages[f"/{FILE}"] = Page(weights)
    assert registers(downloading)
    resumed = server.ranges_asked[-1]
    assert resumed == (f"bytes={len(weights) // 2}-" if answer == "breaks off" else None)


def test_an_own_model_leaves_no_piece_behind(downloading, cache, dialogs):
    (cache / f"{FILE}.part").write_bytes(b"piece")
    downloading.widget.panel.models.refresh()
    downloading.ui.advancedSection.collapsed = False
    dialogs.answer(True)
    downloading.trigger("modelMenuButton", "deleteModelAction")
    assert [path.name for path in cache.iterdir()] == ["models.json"]


def test_a_server_that_is_gone(downloading, scene, cache, weights):
    with serve({}) as gone:
        write_catalogue(cache, weights, gone.url(f"/{FILE}"))
    before = content(scene)
    text = sentence_after_register(downloading, 90)
    assert "cannot be reached" in text
    assert content(scene) == before


def test_a_folder_of_models_that_cannot_be_written(downloading, scene, cache):
    blocked = cache / f"{FILE}.part"
    blocked.mkdir()
    before = content(scene)
    text = sentence_after_register(downloading, 90)
    assert "cannot be written" in text
    assert is_one_sentence(text)
    assert content(scene) == before
    blocked.rmdir()
    assert registers(downloading)


def test_a_downloaded_file_that_was_truncated_is_fetched_again(downloading, cache, weights, server):
    (cache / FILE).write_bytes(weights[:-1000])
    assert registers(downloading)
    assert (cache / FILE).read_bytes() == weights


def test_a_truncated_file_without_address_is_told(ready, scene, lent, cache, weights):
    write_catalogue(cache, weights, None)
    choose_tiny(ready)
    (cache / FILE).write_bytes(weights[:-1000])
    before = content(scene)
    text = sentence_after_register(ready, 90)
    assert f"{cache / FILE} does not match its checksum in the catalogue. Replace it by a fresh copy." == text
    assert content(scene) == before
    (cache / FILE).write_bytes(weights)
    assert registers(ready)


def test_a_truncated_bundled_file_is_told(ready, scene, cache, weights, tmp_path):
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / FILE).write_bytes(weights[:-1000])
    write_catalogue(cache, weights, None)
    choose_tiny(ready)
    environment = {**ONE_THREAD, "VXM_BUNDLED": str(bundled)}
    give(ready, WorkerClient(patched_command(IN_WORKER + BUNDLED_ELSEWHERE), environment=environment))
    before = content(scene)
    text = sentence_after_register(ready, 90)
    assert f"{bundled / FILE} does not match its checksum in the catalogue. Reinstall the extension." == text
    assert content(scene) == before
    (bundled / FILE).write_bytes(weights)
    assert registers(ready)


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.001])
def test_a_truncated_imported_file_is_told(ready, scene, lent, cache, weights, tmp_path, kept):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(weights)
    import_weights(ready, path)
    (cache / "imported" / path.name).write_bytes(weights[: int(kept * len(weights))])
    before = content(scene)
    text = sentence_after_register(ready, 90)
    assert "mine.safetensors" in text
    assert is_one_sentence(text)
    assert content(scene) == before
