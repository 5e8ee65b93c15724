"""Importing a large weight file: the panel is usable meanwhile, and the copy is complete or absent."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import import_weights, is_idle, the_sentence

PIECE = 1 << 20
CONTENT = bytes(range(256)) * (3 * PIECE // 256) + b"the rest"


@pytest.fixture
def model_files(panel):
    """The module that copies; it can be imported where the application is there."""
    from VoxelMorphLib.bridge.panel import model_files

    return model_files


@pytest.fixture
def weights(tmp_path, monkeypatch, model_files):
    """A file that takes several pieces."""
    monkeypatch.setattr(model_files, "PIECE_S", -1.0)
    path = tmp_path / "large.h5"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def gate(monkeypatch, model_files):
    """Stops every piece, as a slow disk would, until the test opens it; told are the threads that came by."""
    gate = SimpleNamespace(opened=threading.Event(), reached=threading.Event(), threads=set())
    copy = model_files._copy_piece

    def wait_and_copy(*arguments):
        gate.threads.add(threading.current_thread())
        gate.reached.set()
        assert gate.opened.wait(30)
        return copy(*arguments)

    monkeypatch.setattr(model_files, "_copy_piece", wait_and_copy)
    yield gate
    gate.opened.set()


def started(panel, path, gate) -> None:
    """Import, up to the first piece."""
    panel.widget.panel.models.importFile(str(path))
    panel.wait(gate.reached.is_set)


@pytest.mark.slow
def test_the_panel_lives_while_a_file_is_copied(panel, cache, weights, gate):
    started(panel, weights, gate)
    assert threading.main_thread() not in gate.threads
    assert panel.ui.statusLabel.text.startswith("Copying large.h5")
    assert panel.ui.cancelButton.enabled and not panel.ui.inputsSection.enabled
    assert panel.ui.modelComboBox.findData(str(cache / "imported" / "large.h5")) == -1
    gate.opened.set()
    panel.wait(lambda: is_idle(panel))
    assert [(path.name, path.read_bytes()) for path in (cache / "imported").iterdir()] == [("large.h5", CONTENT)]
    assert panel.ui.statusLabel.text == "large.h5 was imported"
    assert panel.ui.inputsSection.enabled


@pytest.mark.slow
def test_the_progress_of_a_copy_is_told(panel, cache, weights, monkeypatch):
    told = []
    monkeypatch.setattr(panel.widget.panel.progress, "progress", lambda *news: told.append(news))
    import_weights(panel, weights)
    assert [text for _fraction, text in told[1:]] == [
        f"Copying large.h5: {done} MB of 3.1 MB" for done in ("1.0", "2.1", "3.1", "3.1")
    ]
    assert [fraction for fraction, _text in told] == sorted(fraction for fraction, _text in told)
    assert told[-1][0] == 1.0


def test_a_cancelled_copy_leaves_nothing(panel, cache, weights, gate):
    started(panel, weights, gate)
    panel.click("cancelButton")
    assert is_idle(panel)
    gate.opened.set()
    for thread in gate.threads:
        thread.join(30)
    assert list((cache / "imported").iterdir()) == []
    assert panel.widget.panel.parameters.model == "optimise"


@pytest.mark.slow
def test_what_a_crash_left_is_not_continued(panel, cache, weights):
    (cache / "imported").mkdir(parents=True)
    (cache / "imported" / ".large.h5.part").write_bytes(b"of another file")
    import_weights(panel, weights)
    assert [(path.name, path.read_bytes()) for path in (cache / "imported").iterdir()] == [("large.h5", CONTENT)]


def test_a_copy_that_fails_leaves_nothing(panel, cache, weights, model_files, monkeypatch):
    copy = model_files._copy_piece

    def fill_the_disk(source, partial, stopped):
        copy(source, partial, stopped)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_files, "_copy_piece", fill_the_disk)
    import_weights(panel, weights)
    assert f"{weights} cannot be copied into the folder of models" in the_sentence(panel)
    assert "(No space left on device). Free space" in the_sentence(panel)
    assert list((cache / "imported").iterdir()) == []


def test_without_a_configuration_there_is_nothing_to_import_for(panel):
    panel.widget.panel.connect(None)
    assert not panel.widget.panel.models.actions["importModelAction"].enabled
