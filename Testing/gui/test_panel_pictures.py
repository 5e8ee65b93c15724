"""The panel in all its states and the slice views beside it, as pictures.

`VXM_SCREENSHOTS=1` registers the sample pair instead of small blobs, and writes the pictures of Resources/Screenshots
and the thumbnail of the sample pair.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support import fake_batch, fake_trainer
from support.mrml_nodes import add_volume
from support.pictures import LARGEST_BYTES, beside, captioned, from_image, from_pixmap, is_drawn, stacked, write_png
from support.scripted_worker import ScriptedWorker
from support.segmentations import add_segmentation
from support.shared_data import REPOSITORY
from support.slice_view import SliceView, require_rendering
from support.template_models import write_conditional_model
from support.template_worker import TemplateWorker, choose_template_model, list_model, settle
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.errors import DeviceError

FOR_THE_RECORD = bool(os.environ.get("VXM_SCREENSHOTS"))
ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
#: Rows of the overview and what they are.
CAPTIONS = {
    "moving": "Before: both volumes, half of each",
    "moved": "After",
    "checkerboard": "After: squares of both in turn",
    "grid": "How space is bent",
    "jacobian": "Where volume grows (red) and shrinks (blue)",
}
PANEL_WIDTH, VIEW_SIZE, THUMBNAIL_SIZE = 500, (220, 220), (260, 280)


@pytest.fixture
def folder(tmp_path):
    return REPOSITORY / "Resources" / "Screenshots" if FOR_THE_RECORD else tmp_path


@pytest.fixture
def icons(tmp_path):
    return REPOSITORY / "VoxelMorphSlicer" / "Resources" / "Icons" if FOR_THE_RECORD else tmp_path


@pytest.fixture
def pair():
    """Two volumes with the same structures."""
    if FOR_THE_RECORD:
        from VoxelMorphLib.cli.demo_pair import LABEL_NAMES, make_sample_pair

        return SimpleNamespace(pair=make_sample_pair(), names=LABEL_NAMES, budget=600)
    grids = a_geometry("RAS", (16, 16, 16)), a_geometry("oblique", (16, 16, 16))
    images, labels = [a_blob_image(grid) for grid in grids], [a_label_map(grid) for grid in grids]
    made = SimpleNamespace(fixed=images[0], moving=images[1], fixed_labels=labels[0], moving_labels=labels[1])
    return SimpleNamespace(pair=made, names={2: "outer", 17: "middle", 53: "inner"}, budget=1)


@pytest.fixture
def panel(a_module_widget, scene, pair):
    """The panel with the pair and its structures chosen."""
    panel = a_module_widget()
    chosen = panel.widget.panel.parameters
    for role, name in (("fixed", "Atlas"), ("moving", "Patient")):
        volume = add_volume(getattr(pair.pair, role), name)
        volume.CreateDefaultDisplayNodes()
        labels = getattr(pair.pair, f"{role}_labels")
        segments = [(str(label), text, 0, label) for label, text in pair.names.items()]
        setattr(chosen, f"{role}Volume", volume)
        segmentation = add_segmentation(f"{name} tissues", [labels], segments)
        setattr(chosen, f"{role}Segmentation", segmentation)
    chosen.budget = float(pair.budget)
    return panel


@pytest.fixture
def worker(panel):
    worker = ScriptedWorker(aligns=FOR_THE_RECORD)
    panel.widget.panel.runner.makeWorker = lambda: worker
    return worker


@pytest.fixture
def views(application, scene):
    """One slice view per orientation."""
    require_rendering()
    views = [
        SliceView(application, name, VIEW_SIZE, colour)
        for name, colour in zip(ORIENTATIONS, ("Red", "Yellow", "Green"))
    ]
    yield views
    for view in views:
        view.close()


@pytest.fixture
def blue_to_red(scene):
    """Slicer's colour table of that name, which its application reads from a file."""
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToUser()
    table.SetSingletonTag("FileDivergingBlueRed.txt")
    table.SetNumberOfColors(256)
    ends = np.array([[0.23, 0.30, 0.75], [0.87, 0.87, 0.87], [0.71, 0.02, 0.15]])
    for index in range(256):
        colour = [np.interp(index / 255, [0, 0.5, 1], ends[:, channel]) for channel in range(3)]
        table.SetColor(index, *colour, 1.0)
    return scene.AddNode(table)


def keep(folder, name: str, picture: np.ndarray) -> None:
    path = folder / f"{name}.png"
    write_png(picture, path)
    assert is_drawn(picture), f"{name} is empty"
    assert path.stat().st_size < LARGEST_BYTES, f"{name} has {path.stat().st_size} bytes"


def picture_of(panel, tmp_path) -> np.ndarray:
    return from_pixmap(panel.picture(tmp_path / "panel.png", PANEL_WIDTH))


def slices(views) -> np.ndarray:
    return beside([view.picture() for view in views])


def fit(views) -> None:
    """Twice, because a view takes over the size of its window at the first time."""
    for view in [*views, *views]:
        view.fit()


def register(panel, worker) -> None:
    panel.click("registerButton")
    worker.finish()
    panel.wait(lambda: not panel.widget.panel.working, 300)


def test_a_picture_is_written_in_few_colours_that_look_the_same(tmp_path):
    from PySide6 import QtGui

    rows, columns = np.mgrid[0:60, 0:101]
    picture = np.stack([rows * 4, columns * 2, 255 - columns], axis=-1).astype(np.uint8)
    write_png(picture, tmp_path / "shades.png")
    read = QtGui.QImage(str(tmp_path / "shades.png"))
    assert 1 < read.colorCount() <= 256
    error = np.abs(from_image(read).astype(int) - picture)
    assert error.mean() < 4 and error.max() < 24


@pytest.mark.slow
def test_the_panel_before_anything_was_chosen(a_module_widget, folder, tmp_path):
    keep(folder, "panel-start", picture_of(a_module_widget(), tmp_path))


@pytest.mark.slow
def test_the_panel_while_it_runs(panel, worker, folder, tmp_path):
    panel.click("registerButton")
    worker.report(0.62, "Optimising, step 148")
    panel.widget.panel.progress._began -= 27
    panel.wait(lambda: "148" in panel.ui.statusLabel.text)
    keep(folder, "panel-running", picture_of(panel, tmp_path))


@pytest.mark.slow
def test_the_panel_with_an_error(panel, worker, folder, tmp_path):
    panel.click("registerButton")
    worker.fail(
        DeviceError(
            "cuda:0 has too little free memory for a grid of 256x256x256 voxels. Choose the device cpu, "
            "the precision bfloat16, or close other programs that use the GPU."
        )
    )
    panel.wait(lambda: not panel.widget.panel.working)
    keep(folder, "panel-error", picture_of(panel, tmp_path))


@pytest.mark.slow
def test_the_section_that_applies_transforms(a_module_widget, scene, folder, tmp_path):
    panel = a_module_widget()
    for section in ("inputsSection", "advancedSection", "resultSection"):
        getattr(panel.ui, section).collapsed = True
    panel.ui.applySection.collapsed = False
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Patient to Atlas")
    image = a_blob_image(a_geometry())
    panel.choose(appliedTransformSelector=transform, appliedNodeSelector=add_volume(image, "Patient PET"))
    panel.choose(appliedReferenceSelector=add_volume(image, "Atlas"))
    keep(folder, "panel-apply", picture_of(panel, tmp_path))


@pytest.mark.slow
def test_the_section_for_many_pairs_while_it_registers(a_module_widget, scene, folder, tmp_path):
    panel = a_module_widget()
    ui, batch = panel.ui, panel.widget.panel.batch
    batch.command = fake_batch.command("waits")
    for section in ("inputsSection", "advancedSection", "resultSection"):
        getattr(ui, section).collapsed = True
    ui.batchSection.collapsed = False
    (tmp_path / "report.html").touch()  # of the pairs so far
    ui.batchSourceEdit.currentPath, ui.batchOutputEdit.currentPath = str(tmp_path), str(tmp_path)
    panel.choose(batchTemplateSelector=add_volume(a_blob_image(a_geometry()), "Atlas"))
    panel.click("batchButton")
    panel.wait(lambda: "1 of 2" in ui.batchStatusLabel.text)
    batch.progress._began -= 27
    batch.progress.tick()
    batch._showing = True  # a folder of this test is no name for a picture
    ui.batchSourceEdit.currentPath, ui.batchOutputEdit.currentPath = "/data/hippocampi", "/data/registered"
    batch._showing = False
    picture = picture_of(panel, tmp_path)
    panel.click("cancelBatchButton")
    panel.wait(lambda: not batch.working)
    keep(folder, "panel-batch", picture)


@pytest.mark.slow
def test_the_training_section_while_it_trains(a_module_widget, folder, tmp_path):
    panel = a_module_widget()
    ui, training = panel.ui, panel.widget.panel.training
    training.command = fake_trainer.command("quarter")
    for section in ("inputsSection", "advancedSection", "resultSection"):
        getattr(ui, section).collapsed = True
    ui.trainingSection.collapsed = False
    options = {"recipe": "semisupervised", "image_loss": "ncc", "ncc_form": "signed", "smoothness": 0.5, "lr": 7e-4}
    options.update(dice_weight=1, label_resolution=1, epochs=60, shape=[48, 64, 48], voxel_size=1, device="cpu")
    paths = {"image_list": "/data/hippocampi/images.txt", "label_list": "/data/hippocampi/labels.txt"}
    paths["validation_list"] = "/data/hippocampi/pairs.txt"
    paths["validation_label_list"] = "/data/hippocampi/pair_labels.txt"
    ui.trainingOptionsEdit.plainText = json.dumps({**options, **paths, "output_dir": str(tmp_path / "hippocampi")})
    panel.click("checkTrainingButton")
    panel.wait(lambda: not training.working)
    panel.click("trainButton")
    panel.wait(lambda: "Dice" in ui.trainingStatusLabel.text)
    training.progress._began -= 533
    training.progress.tick()
    ui.trainingOutputDirEdit.currentPath = "/data/hippocampi/model"
    picture = picture_of(panel, tmp_path)
    panel.click("cancelTrainingButton")
    panel.wait(lambda: not training.working)
    keep(folder, "panel-training", picture)


@pytest.mark.slow
def test_the_panel_and_the_views_with_a_result(panel, worker, views, blue_to_red, folder, tmp_path):
    chosen = panel.widget.panel.parameters
    panel.ui.jacobianVolumeSelector.addNode()
    register(panel, worker)
    for name in ("fixed", "moving", "moved"):
        getattr(chosen, f"{name}Segmentation").SetDisplayVisibility(False)
    assert panel.ui.statusLabel.text.startswith("Done: Patient moved")
    done = picture_of(panel, tmp_path)
    keep(folder, "panel-done", done)
    fit(views)
    rows = {}
    for overlay in ("moving", "jacobian", "checkerboard", "moved"):
        chosen.overlay = overlay
        rows[overlay] = slices(views)
    panel.click("showGridCheckBox")
    rows["grid"] = slices(views)
    for name, row in rows.items():
        keep(folder, f"slices-{name}", row)
    assert (rows["moving"] != rows["moved"]).any()
    assert (rows["grid"] != rows["moved"]).any()
    shown = [captioned(rows[name], text) for name, text in CAPTIONS.items()]
    keep(folder, "overview", beside([done, stacked(shown)]))


@pytest.mark.slow
def test_the_template_explorer(a_module_widget, views, folder, tmp_path, monkeypatch):
    """`VXM_TEMPLATE_MODEL` is the conditional template whose pictures are kept, see the README for its training."""
    model = Path(os.environ.get("VXM_TEMPLATE_MODEL") or tmp_path / "many.safetensors")
    if FOR_THE_RECORD and not model.is_file():
        pytest.skip("VXM_TEMPLATE_MODEL names no model to draw")
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    if not model.is_file():
        write_conditional_model(model)
    list_model(model, "template", "Hippocampus by volume" if FOR_THE_RECORD else "")
    panel = a_module_widget()
    panel.widget.panel.runner.makeWorker = TemplateWorker
    for section in ("inputsSection", "advancedSection", "resultSection"):
        getattr(panel.ui, section).collapsed = True
    panel.ui.templateSection.collapsed = False
    choose_template_model(panel, "template")
    slider, rows = panel.ui.templateAttribute0Slider, {}
    for value in (slider.minimum, slider.value, slider.maximum):
        slider.value = value
        settle(panel)
        fit(views)
        rows[panel.ui.templateStatusLabel.text] = slices(views)
    small, _middle, large = rows.values()
    assert (small != large).any()
    shown = [captioned(row, text) for text, row in rows.items()]
    keep(folder, "template-explorer", beside([picture_of(panel, tmp_path), stacked(shown)]))


@pytest.mark.slow
def test_the_thumbnail_of_the_sample_pair(panel, worker, application, icons):
    require_rendering()
    view = SliceView(application, "Axial", THUMBNAIL_SIZE, "Red")
    register(panel, worker)
    for name in ("fixed", "moving", "moved"):
        getattr(panel.widget.panel.parameters, f"{name}Segmentation").SetDisplayVisibility(False)
    panel.click("showGridCheckBox")
    fit([view])
    picture = view.picture()
    view.close()
    assert picture.shape[:2] == THUMBNAIL_SIZE[::-1]
    keep(icons, "VoxelMorphBrainPair", picture)
