"""Models of the recipe atlas-segmentation hand out label maps by both commands."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.chains import an_affine
from support.segmenting import LABELS, a_subject, overlap, write_segmenting_model
from support.volumes import a_geometry
from VoxelMorphLib.cli import apply, register
from VoxelMorphLib.core.io.images import read_label_map, write_image
from VoxelMorphLib.core.io.transforms import write_transform


@pytest.fixture
def folder(tmp_path):
    """A model, two scans, and a transform."""
    write_segmenting_model(tmp_path / "seg.safetensors")
    write_image(a_subject()[0], tmp_path / "scan.nii.gz")
    write_image(a_subject(a_geometry("LAS", (20, 20, 20), 1.7))[0], tmp_path / "other.nii.gz")
    write_transform(an_affine(), tmp_path / "affine.tfm")
    return tmp_path


def run(main, folder, **files):
    return main([word for name, file in files.items() for word in (f"--{name}", str(folder / file))])


def test_apply_labels_an_image_on_its_own_grid(folder, capsys):
    files = {"model": "seg.safetensors", "input": "other.nii.gz", "movedLabels": "labels.nii.gz"}
    assert run(apply.main, folder, **files) == 0
    image, truth = a_subject(a_geometry("LAS", (20, 20, 20), 1.7))
    labels = read_label_map(folder / "labels.nii.gz")
    assert labels.geometry.matches(image.geometry) and overlap(labels.array, truth.array) > 0.65
    assert "labels of other.nii.gz: resampled onto 20x20x20 voxels" in capsys.readouterr().out


def test_apply_carries_what_it_finds_along(folder):
    files = {"model": "seg.safetensors", "input": "scan.nii.gz", "transform": "affine.tfm", "reference": "other.nii.gz"}
    assert run(apply.main, folder, **files, movedLabels="moved.nii.gz", output="moved-scan.nii.gz") == 0
    moved = read_label_map(folder / "moved.nii.gz")
    expected = an_affine().resample(a_subject()[1], moved.geometry)
    assert overlap(moved.array, expected.array) > 0.7 and (folder / "moved-scan.nii.gz").exists()


def test_register_labels_the_fixed_image(folder):
    files = {"model": "seg.safetensors", "fixed": "scan.nii.gz", "moving": "other.nii.gz"}
    assert run(register.main, folder, **files, movedLabels="labels.nii.gz", moved="moved.nii.gz") == 0
    labels = read_label_map(folder / "labels.nii.gz")
    assert set(np.unique(labels.array)) == set(LABELS)
    assert overlap(labels.array, a_subject()[1].array) > 0.8


@pytest.mark.parametrize(
    ("main", "files", "said"),
    [
        (apply.main, {"input": "scan.nii.gz"}, "Give both, and no --movingLabels"),
        (apply.main, {"movedLabels": "new.nii.gz"}, "Give both, and no --movingLabels"),
        (
            apply.main,
            {"input": "scan.nii.gz", "movedLabels": "new.nii.gz", "movingLabels": "scan.nii.gz"},
            "Give both, and no --movingLabels",
        ),
        (apply.main, {"input": "scan.nii.gz", "movedLabels": "new.nii.gz", "model": "none"}, "none"),
        (apply.main, {"input": "scan.nii.gz", "movedLabels": "seg.safetensors"}, "no image format|also a file of"),
    ],
)
def test_what_is_missing_for_labels_is_one_sentence(folder, capsys, main, files, said):
    before = sorted(folder.iterdir())
    always = {"model": "seg.safetensors", "jacobian": "j.nii", "reference": "scan.nii.gz"}
    assert run(main, folder, **{**always, **files}) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Error: ") and printed.count("\n") == 1 and re.search(said, printed)
    assert sorted(folder.iterdir()) == before


def test_models_that_find_nothing_are_refused_before_the_registration(folder, capsys):
    words = [
        "--fixed",
        folder / "scan.nii.gz",
        "--moving",
        folder / "other.nii.gz",
        "--movedLabels",
        folder / "new.nii",
    ]
    for model in ("hippocampus-T1", "optimise"):
        assert register.main([*map(str, words), "--model", model]) == 2
        assert "need --movingLabels" in capsys.readouterr().err
    assert not (folder / "new.nii").exists()
