"""A model of the recipe atlas-segmentation, chosen in the panel, leaves a segmentation of the fixed volume."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

from support.mrml_nodes import add_volume
from support.segmentations import segment_voxels
from support.segmenting import LABELS, a_subject, overlap, write_segmenting_model
from support.volumes import a_geometry
from VoxelMorphLib.weights.own_models import add_to_catalogue
from VoxelMorphLib.weights.safetensors_file import read_model


@pytest.fixture
def volumes(scene):
    grids = a_geometry("RAS", (16, 16, 16), 2.0), a_geometry("LAS", (16, 16, 16), 2.0)
    return [add_volume(a_subject(grid)[0], name) for grid, name in zip(grids, ("fixed", "moving"))]


@pytest.fixture
def model(tmp_path, cache):
    path = write_segmenting_model(tmp_path / "seg.safetensors")
    add_to_catalogue(read_model(path)[1], path)
    return "seg"


@pytest.mark.slow
def test_the_labels_of_the_fixed_volume_follow_the_registration(model, ready, scripted, volumes):
    chosen, box = ready.widget.panel.parameters, ready.ui.modelComboBox
    box.setCurrentIndex(box.findData(model))
    box.activated.emit(box.currentIndex)
    assert chosen.model == model
    chosen.device = "cpu"
    ready.click("registerButton")
    scripted.finish()
    ready.wait(lambda: not ready.widget.panel.working, 60)
    assert ready.ui.statusLabel.text.startswith("Done: moving moved")
    node = chosen.movedSegmentation
    assert node.GetName() == "fixed labels" and ready.ui.movedSegmentationSelector.currentNode() is node
    found = sum(label * segment_voxels(node, str(label)).astype(int) for label in LABELS[1:])
    assert overlap(found, a_subject()[1].array) > 0.8
