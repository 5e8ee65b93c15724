"""Arrays without a position beside files that have one are told, whoever reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.apply.apply import apply_transform
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.positions import lacks_position, mixed_positions
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.evaluation.evaluate import evaluate_files
from VoxelMorphLib.registration.register import register
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.training.data.training_data import TrainingData
from VoxelMorphLib.training.options import TrainingConfig

TOLD = r"array\.npz holds an array without a position, image\.nii\.gz has one\."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same voxels as an array alone, as an array with its position, and as an image."""
    image = a_blob_image(a_geometry("RAS", (12, 12, 12)))
    np.savez(tmp_path / "array.npz", vol=image.array)
    write_image(image, tmp_path / "placed.npz")
    write_image(image, tmp_path / "image.nii.gz")
    write_image(a_label_map(image.geometry), tmp_path / "labels.nii.gz")
    return tmp_path


def test_only_arrays_lack_a_position(folder):
    assert {path.name for path in folder.iterdir() if lacks_position(path)} == {"array.npz"}
    assert mixed_positions([folder / "array.npz", folder / "array.npz", folder / "points.csv", None]) == ""
    assert mixed_positions([folder / "placed.npz", folder / "image.nii.gz"]) == ""


def test_a_registration_tells_it_in_its_report(folder):
    files = {"fixed": folder / "array.npz", "moving": folder / "image.nii.gz"}
    options = RegistrationOptions(affine="centre", device="cpu")
    report = register(RegistrationRequest.read(**files, model="linear", options=options)).report
    assert sum("holds an array without a position" in warning for warning in report.warnings) == 1
    files["fixed"] = folder / "placed.npz"
    report = register(RegistrationRequest.read(**files, model="linear", options=options)).report
    assert not any("position" in warning for warning in report.warnings)


def test_moving_measuring_and_training_warn_of_it(folder):
    with pytest.warns(UserWarning, match=TOLD):
        apply_transform(folder / "array.npz", AffineTransform(np.eye(4)), folder / "image.nii.gz")
    with pytest.warns(UserWarning, match=TOLD):
        list(evaluate_files(fixed=folder / "array.npz", moved=folder / "image.nii.gz"))
    config = TrainingConfig(image_list=str(folder / "i*.*"), atlas=str(folder / "array.npz"))
    (folder / "in.nii.gz").write_bytes((folder / "image.nii.gz").read_bytes())
    with pytest.warns(UserWarning, match=TOLD):
        TrainingData(config, 1, "single")
