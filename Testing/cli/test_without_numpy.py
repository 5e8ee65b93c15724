"""Both commands where torch has no NumPy, as on the Mac: they register with everything there is, and train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small_scans import training, write_scans
from support.volumes import a_blob_image, a_geometry, a_label_map
from support.without_numpy import forbid_numpy
from VoxelMorphLib.cli import register, train
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, write_image

GRID = a_geometry("oblique", (16, 14, 12), 2.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    for seed, name in enumerate(("fixed", "moving")):
        write_image(a_blob_image(GRID, seed=seed), tmp_path / f"{name}.nii.gz")
        write_image(a_label_map(GRID, seed=seed), tmp_path / f"{name}_labels.nii.gz")
        places = GRID.voxel_to_world(np.array([[5.0, 5, 5], [10, 5, 5], [5, 9, 5], [5, 5, 8]]))
        (tmp_path / f"{name}.csv").write_text("x,y,z\n" + "\n".join(",".join(map(str, place)) for place in places))
    write_image(LabelMap(np.ones(GRID.shape, np.uint8), GRID), tmp_path / "mask.nii.gz")
    write_scans(tmp_path)
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    forbid_numpy(monkeypatch)
    return tmp_path


def registered(folder: Path, **options: object) -> np.ndarray:
    files = {name: folder / f"{name}.nii.gz" for name in ("fixed", "moving", "moved", "inverse")}
    values = {**files, "forward": folder / "forward.h5", **options}
    assert register.main([part for name, value in values.items() for part in (f"--{name}", str(value))]) == 0
    return read_image(folder / "moved.nii.gz").array


@pytest.mark.parametrize("similarity", ["ncc", "mind", "mi"])
def test_a_pair_is_optimised(folder, similarity):
    assert registered(folder, similarity=similarity, refine="fast").any()


def test_a_pair_is_optimised_with_masks_landmarks_and_labels(folder):
    guides = {"fixedPoints": folder / "fixed.csv", "movingPoints": folder / "moving.csv"}
    labels = {f"{side}Labels": folder / f"{side}_labels.nii.gz" for side in ("fixed", "moving")}
    masks = {"fixedMask": folder / "mask.nii.gz", "movingMask": folder / "mask.nii.gz"}
    assert registered(
        folder, **guides, **labels, **masks, affine="landmarks-thin-plate", report=folder / "r.html"
    ).any()
    assert (folder / "r.html").exists()


def test_a_network_registers(folder):
    assert registered(folder, model="hippocampus-T1", refine="fast").any()


@pytest.mark.slow
def test_a_network_is_trained_and_registers(folder):
    model = folder / "mine.safetensors"
    argv = training(folder, "--validationPairs", "1", "--model", str(model), recipe="surfaces", labels=True)
    assert train.main(argv) == 0
    scans = {role: folder / "images" / f"scan{number}.nii.gz" for number, role in enumerate(("fixed", "moving"))}
    assert registered(folder, **scans, model=model).any()
