"""The list of models: what it says, import, delete, the folder, and agreement with licences."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.panel_runs import import_weights, is_idle
from VoxelMorphLib.weights.entry import tasks_of

DOWNLOADED, OPTIMISE = "vxm-dense-brain-T1-mse", "optimise"


@pytest.fixture
def panel(a_module_widget, cache):
    return a_module_widget()


@pytest.fixture
def section(panel):
    slicer.app.userSettings().remove("VoxelMorph/ApprovedLicences")
    return panel.widget.panel.models


@pytest.fixture
def a_downloaded_model(cache, section):
    """The file of one model as a download would leave it; its content is never read here."""
    entry = section.entries[DOWNLOADED]
    cache.mkdir()
    path = cache / entry.file
    with path.open("wb") as file:
        file.truncate(entry.bytes)
    section.refresh()
    return path


@pytest.fixture
def own_weights(tmp_path):
    path = tmp_path / "my network.h5"
    path.write_bytes(b"weights")
    return path


def activate(box, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex)


def listed(panel) -> list[str]:
    return [panel.ui.modelComboBox.itemData(index) for index in range(panel.ui.modelComboBox.count)]


def test_every_model_that_can_run_is_listed_under_its_task(panel, section):
    models = {}
    for task in ("deformable", "affine", "rigid", "shift"):
        activate(panel.ui.taskComboBox, task)
        models[task] = listed(panel)
    assert set().union(*models.values()) == {entry.id for entry in panel.logic.models() if tasks_of(entry)}
    assert models["deformable"][0] == OPTIMISE
    assert models["affine"] == ["linear", "synthmorph-affine-2"]
    assert models["rigid"] == ["linear", "synthmorph-rigid-1"]
    assert models["shift"] == ["linear"]


@pytest.mark.parametrize("model", [OPTIMISE, DOWNLOADED, "synthmorph-shapes"])
def test_a_model_is_described(panel, section, model):
    activate(panel.ui.modelComboBox, model)
    entry = section.entries[model]
    assert panel.ui.modelDescriptionLabel.text == entry.description
    facts = panel.ui.modelFactsLabel.text
    assert (entry.licence or "not stated by its authors") in facts
    assert entry.modality == "any" or entry.modality in facts
    assert ("nothing to download" if model == OPTIMISE else "to download") in facts


def test_size_and_state_follow_the_folder(panel, section, a_downloaded_model):
    activate(panel.ui.modelComboBox, DOWNLOADED)
    assert "downloaded (1.3 MB)" in panel.ui.modelFactsLabel.text
    assert panel.widget.panel.models.actions["deleteModelAction"].enabled


def test_what_is_not_downloaded_cannot_be_deleted(panel):
    assert not panel.widget.panel.models.actions["deleteModelAction"].enabled
    activate(panel.ui.modelComboBox, DOWNLOADED)
    assert not panel.widget.panel.models.actions["deleteModelAction"].enabled


def leave_unfinished(cache, entry, count: int) -> None:
    """What a cancelled download leaves."""
    cache.mkdir()
    (cache / f"{entry.file}.part").write_bytes(bytes(count))
    (cache / f"{entry.file}.part.tag").write_text("tag", encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "amount"), [(DOWNLOADED, "(200.0 kB of 1.3 MB)"), ("synthmorph-shapes", "(200.0 kB, size unknown)")]
)
def test_an_unfinished_download_is_told_and_can_be_deleted(panel, section, cache, dialogs, model, amount):
    leave_unfinished(cache, section.entries[model], 200_000)
    section.refresh()
    activate(panel.ui.modelComboBox, model)
    assert f"partly downloaded {amount}" in panel.ui.modelFactsLabel.text
    assert panel.ui.modelComboBox.currentText == f"{section.entries[model].title} - partly downloaded"
    dialogs.answer(True)
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert list(cache.iterdir()) == []
    assert "to download" in panel.ui.modelFactsLabel.text
    assert not panel.widget.panel.models.actions["deleteModelAction"].enabled


def test_a_truncated_file_can_be_deleted(panel, section, a_downloaded_model, dialogs):
    a_downloaded_model.write_bytes(b"less")
    activate(panel.ui.modelComboBox, DOWNLOADED)
    assert "to download" in panel.ui.modelFactsLabel.text
    dialogs.answer(True)
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert not a_downloaded_model.exists()


def test_a_downloaded_model_is_deleted_after_a_question(panel, section, a_downloaded_model, dialogs):
    activate(panel.ui.modelComboBox, DOWNLOADED)
    dialogs.answer(False, True)
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert a_downloaded_model.exists()
    assert len(dialogs.asked) == 1
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert not a_downloaded_model.exists()
    assert "to download" in panel.ui.modelFactsLabel.text
    assert panel.ui.modelComboBox.currentData == DOWNLOADED


def test_own_weights_are_copied_chosen_and_stored(panel, section, own_weights, cache, dialogs):
    dialogs.answer(str(own_weights))
    panel.trigger("modelMenuButton", "importModelAction")
    panel.wait(lambda: is_idle(panel))
    copy = cache / "imported" / "my network.h5"
    assert copy.read_bytes() == b"weights"
    assert own_weights.exists()
    assert panel.widget.panel.parameters.model == str(copy)
    assert panel.ui.modelComboBox.currentText == "my network.h5 (imported)"
    assert panel.ui.statusLabel.text == "my network.h5 was imported"


def test_closing_the_file_dialog_imports_nothing(panel, cache, dialogs):
    dialogs.answer("")
    panel.trigger("modelMenuButton", "importModelAction")
    assert not cache.exists()
    assert panel.ui.modelComboBox.currentData == OPTIMISE


def test_a_deleted_import_gives_way_to_the_default(panel, section, own_weights, cache, dialogs):
    import_weights(panel, own_weights)
    dialogs.answer(True)
    panel.trigger("modelMenuButton", "deleteModelAction")
    assert list((cache / "imported").iterdir()) == []
    assert panel.widget.panel.parameters.model == OPTIMISE


@pytest.mark.parametrize("name", ["notes.txt", "missing.h5"])
def test_a_file_that_is_no_weights_is_refused(panel, section, tmp_path, name):
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    import_weights(panel, tmp_path / name)
    assert "is no weight file. Choose a file that ends in .h5, .pt, .safetensors" in panel.ui.statusLabel.text
    assert panel.widget.panel.parameters.model == OPTIMISE


def test_a_folder_that_cannot_be_written_is_reported(panel, section, own_weights, cache):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    import_weights(panel, own_weights)
    assert "cannot be read or written" in panel.ui.statusLabel.text
    assert panel.ui.statusIconLabel.isVisibleTo(panel.frame)
    panel.trigger("modelMenuButton", "openModelFolderAction")
    assert "cannot be opened" in panel.ui.statusLabel.text


def test_only_imported_files_are_removed(own_weights, cache):
    from VoxelMorphLib.bridge.panel.model_files import remove_imported
    from VoxelMorphLib.core.errors import OutputError

    with pytest.raises(OutputError, match="was not imported"):
        remove_imported(own_weights)
    assert own_weights.exists()


def test_the_folder_is_opened_in_the_file_manager(panel, cache, dialogs):
    panel.trigger("modelMenuButton", "openModelFolderAction")
    assert dialogs.opened == [f"file://{cache}"]
    assert cache.is_dir()


def test_a_licence_is_agreed_to_once_per_model(section, dialogs):
    dialogs.answer(False, True, False)
    assert not section.approve("synthmorph-shapes")
    assert "not stated by its authors" in dialogs.texts[0]
    assert section.approve("synthmorph-shapes")
    assert section.approve("synthmorph-shapes")
    assert len(dialogs.asked) == 2
    assert not section.approve("synthmorph-brains")


def test_the_licence_question_says_where_a_model_comes_from(section, dialogs):
    dialogs.answer(False, False)
    section.approve("vxm-miccai2018")
    section.approve("hippocampus-T1")
    downloaded, bundled = dialogs.texts
    assert "comes from its authors under their own licence: GPL-3.0" in downloaded
    assert f"Source: {section.entries['vxm-miccai2018'].url}" in downloaded
    assert "comes with this extension, but under a licence of its own: CC BY-SA 4.0" in bundled
    assert "Source: bundled with this extension" in bundled


@pytest.mark.parametrize(("model", "told"), [("synthmorph-shapes", True), ("synthmorph-deform-3", False)])
def test_the_licence_question_tells_that_a_download_cannot_be_checked(section, dialogs, model, told):
    dialogs.answer(False)
    section.approve(model)
    assert ("Nobody published a checksum of this file" in dialogs.texts[0]) == told


def test_models_under_our_own_licence_ask_nothing(section, dialogs):
    assert section.approve(OPTIMISE)
    assert section.approve(DOWNLOADED)
    assert dialogs.asked == []


def test_a_broken_catalogue_of_the_user_is_reported(panel, section, cache):
    cache.mkdir()
    (cache / "models.json").write_text("{", encoding="utf-8")
    section.refresh()
    assert "cannot be read" in panel.ui.statusLabel.text
