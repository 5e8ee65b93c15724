"""The whole way by clicks, with the real command: train, see the curves, add the model, register with it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.small_scans import write_scans
from VoxelMorphLib.core.config import RegistrationOptions

#: Importing torch takes most of it.
TIMEOUT_S = 300
OPTIONS = {
    **{"recipe": "semisupervised", "encoder": [4, 8], "decoder": [8, 8, 4], "epochs": 3, "steps_per_epoch": 1},
    **{"validate_every": 1, "validation_pairs": 1, "lr": 1e-3, "device": "cpu"},
}


@pytest.fixture
def panel(a_module_widget, tmp_path, monkeypatch):
    """With the options of three steps and four scans with label maps chosen."""
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_scans(tmp_path, 4)
    panel = a_module_widget()
    panel.ui.trainingSection.collapsed = False
    panel.ui.trainingOptionsEdit.plainText = json.dumps(OPTIONS)
    for name, folder in (("ImageList", "images"), ("LabelList", "labels"), ("OutputDir", "balls")):
        getattr(panel.ui, f"training{name}Edit").currentPath = str(tmp_path / folder)
    return panel


def finish(panel, button: str) -> str:
    panel.click(button)
    panel.wait(lambda: not panel.widget.panel.training.working, TIMEOUT_S)
    return panel.ui.trainingStatusLabel.text


@pytest.mark.slow
def test_a_network_is_trained_and_registers(panel, scene, tmp_path):
    assert finish(panel, "trainButton") == f"Trained: {tmp_path / 'balls'}"
    curves = panel.logic.curves(tmp_path / "balls")
    losses, dice = (slicer.util.arrayFromTableColumn(curves.table(kind), "epoch") for kind in ("loss", "dice"))
    assert list(losses) == list(dice) == [1, 2, 3]
    names = [curves.chart("dice").GetNthPlotSeriesNode(index).GetYColumnName() for index in range(6)]
    labels = [f"val_{back}dice_{label}" for back in ("", "back_") for label in (3, 7)]
    assert names == ["val_dice", "val_back_dice", *labels]
    assert not panel.ui.trainButton.enabled and panel.ui.resumeTrainingButton.enabled
    panel.ui.trainingModelNameEdit.text = "Two balls"
    assert finish(panel, "addModelButton") == "Two-balls is in the list of models."
    assert panel.widget.panel.parameters.model == panel.ui.modelComboBox.currentData == "Two-balls"
    assert panel.ui.modelComboBox.currentText == "Two balls"
    fixed, moving = (slicer.util.loadVolume(str(tmp_path / "images" / f"scan{number}.nii.gz")) for number in (0, 1))
    nodes = panel.logic.register(fixed, moving, "Two-balls", RegistrationOptions(device="cpu", affine="none"))
    assert slicer.util.arrayFromVolume(nodes["moved"]).shape == (16, 16, 16)
