"""The folder of models: own models come and go whole, copies of one name stay apart, and a bad folder is only told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.panel_runs import import_weights
from support.workers import write_tiny_network
from VoxelMorphLib.weights.own_models import add_to_catalogue
from VoxelMorphLib.weights.safetensors_file import read_model


@pytest.fixture
def an_own_model(cache, tmp_path):
    """Trained here, under the id "mine"."""
    path = write_tiny_network(tmp_path / "trained.safetensors")
    _network, entry = read_model(path)
    return add_to_catalogue(replace(entry, id="mine", title="Mine"), path)


def listed(panel) -> list[str]:
    box = panel.ui.modelComboBox
    return [box.itemData(index) for index in range(box.count)]


def choose(panel, model: str) -> None:
    box = panel.ui.modelComboBox
    box.setCurrentIndex(box.findData(model))
    box.activated.emit(box.currentIndex)


def expand(panel) -> None:
    panel.ui.advancedSection.collapsed = False


@pytest.mark.parametrize("file_is_there", [True, False])
def test_an_own_model_is_removed_with_its_entry(an_own_model, a_module_widget, cache, dialogs, file_is_there):
    if not file_is_there:
        (cache / an_own_model.file).unlink()
    panel = a_module_widget()
    expand(panel)
    choose(panel, "mine")
    dialogs.answer(True)
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert "mine" not in listed(panel) and panel.widget.panel.parameters.model == "optimise"
    assert json.loads((cache / "models.json").read_text())["models"] == []
    assert [path.name for path in cache.iterdir()] == ["models.json"]


def test_an_own_model_asks_for_no_licence(an_own_model, a_module_widget, cache, dialogs):
    models = a_module_widget().widget.panel.models
    assert models.entries["mine"].licence is None
    assert models.approve("mine")
    assert dialogs.asked == []


def test_a_catalogue_that_breaks_meanwhile_asks_for_no_licence(an_own_model, a_module_widget, cache, dialogs):
    models = a_module_widget().widget.panel.models
    (cache / "models.json").write_text("{", encoding="utf-8")
    assert models.approve("mine")
    assert dialogs.asked == []


@pytest.mark.slow
def test_imports_of_one_name_stay_apart(a_module_widget, cache, tmp_path):
    panel = a_module_widget()
    files = []
    for number in (1, 2, 2):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        files.append(folder / "net.h5")
        files[-1].write_bytes(bytes([number]))
        import_weights(panel, files[-1])
    kept = {path.name: path.read_bytes() for path in (cache / "imported").iterdir()}
    assert kept == {"net.h5": b"\x01", "net-2.h5": b"\x02"}
    assert Path(panel.widget.panel.parameters.model).name == "net-2.h5"


def test_an_unreadable_folder_of_imports_takes_no_other_model_away(a_module_widget, cache, monkeypatch):
    (cache / "imported").mkdir(parents=True)
    look = Path.iterdir

    def refuse(folder):
        if folder == cache / "imported":
            raise PermissionError(13, "Permission denied")
        return look(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    panel = a_module_widget()
    assert "cannot be read (Permission denied)" in panel.ui.statusLabel.text
    assert "optimise" in listed(panel) and "hippocampus-T1" in listed(panel)


def test_without_a_home_folder_the_extensions_models_are_listed(a_module_widget, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VXM_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(Path, "expanduser", lambda _path: homeless())
    panel = a_module_widget()
    assert "optimise" in listed(panel) and "hippocampus-T1" in listed(panel)
    assert panel.ui.statusLabel.text
