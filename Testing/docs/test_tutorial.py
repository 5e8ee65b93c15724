"""The tutorial runs as it stands in the repository, with fewer steps, and its network learns."""

from __future__ import annotations

import matplotlib as mpl
import notebooks
import numpy as np
import pytest
import torch
from support.shared_data import REPOSITORY, data_folder

TUTORIAL = REPOSITORY / "docs" / "tutorial-2d.ipynb"
STEPS = "STEPS = 300"


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """No windows, no files in the working folder, one thread, and the made shapes."""
    threads, backend = torch.get_num_threads(), mpl.get_backend()
    torch.set_num_threads(1)
    mpl.use("Agg")
    monkeypatch.setenv("VXM_OUTPUT", str(tmp_path))
    monkeypatch.delenv("VXM_DATA", raising=False)
    yield
    mpl.use(backend)
    torch.set_num_threads(threads)


def cells() -> list[dict]:
    found = notebooks.code_cells(TUTORIAL)
    assert sum(STEPS in "".join(cell["source"]) for cell in found) == 1
    return [{**cell, "source": "".join(cell["source"]).replace(STEPS, "STEPS = 80")} for cell in found]


@pytest.mark.slow
def test_the_network_of_the_tutorial_learns(tmp_path):
    names: dict = {"__name__": "__main__"}
    outputs = [notebooks.run_cell(cell, names) for cell in cells()]
    assert np.mean(names["history"][-10:]) < 0.7 * np.mean(names["history"][:10])
    assert names["after"] > names["before"] + 0.05
    assert names["folds"] == 0
    assert (tmp_path / "slices.safetensors").is_file()
    kinds = [output["output_type"] for cell in outputs for output in cell]
    assert kinds.count("display_data") == 2 and kinds.count("stream") == 4


@pytest.mark.slow
def test_scanned_hippocampi_are_cut_to_slices_with_labels():
    folder = data_folder() / "hippocampus"
    names: dict = {"__name__": "__main__"}
    for cell in cells()[:2]:
        notebooks.run_cell(cell, names)
    for image, labels in names["scanned"](folder, 3):
        assert image.shape == labels.shape == names["SHAPE"]
        assert image.min() >= 0 and 0.5 < image.max() <= 1
        assert set(np.unique(labels)) <= {0, 1, 2} and (labels > 0).sum() > 50


def test_the_outputs_of_every_cell_that_has_some_are_stored():
    stored = [cell["outputs"] for cell in notebooks.code_cells(TUTORIAL)]
    assert [len(outputs) for outputs in stored] == [0, 1, 2, 1, 1, 1]
