"""Real images: the training space agrees with the preprocessing that the benchmark figures were measured with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from support.shared_data import data_folder
from support.training_files import write_list
from VoxelMorphLib.training.data.training_data import TrainingData
from VoxelMorphLib.training.options import TrainingConfig


@pytest.fixture
def a_hippocampus_config(tmp_path) -> TrainingConfig:
    """Three training cases and two validation pairs, one of their cases also in the list."""
    folder = data_folder() / "hippocampus"
    pairs = json.loads((folder / "val_pairs.json").read_text(encoding="utf-8"))["pairs"][:2]
    cases = [*json.loads((folder / "train_cases.json").read_text(encoding="utf-8"))[:3], pairs[0][0]]
    lines = [f"hippocampus_{moving} hippocampus_{fixed}" for fixed, moving in pairs]
    return TrainingConfig(
        image_list=write_list(tmp_path / "images.txt", [f"hippocampus_{case}" for case in cases]),
        label_list=write_list(tmp_path / "labels.txt", [f"hippocampus_{case}" for case in cases]),
        validation_list=write_list(tmp_path / "pairs.txt", lines),
        validation_label_list=write_list(tmp_path / "pairs_labels.txt", lines),
        image_prefix=f"{folder / 'images'}/",
        label_prefix=f"{folder / 'labels'}/",
        image_suffix=".nii.gz",
        label_suffix=".nii.gz",
        shape=(48, 64, 48),
    )


def the_loader():
    path = Path(data_folder()) / "load.py"
    spec = importlib.util.spec_from_file_location("hippocampus_loader", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tensors_agree_with_the_common_preprocessing(a_hippocampus_config):
    pytest.importorskip("nibabel")
    loader = the_loader()
    with pytest.warns(UserWarning, match="1 of 4 images are not trained on"):
        data = TrainingData(a_hippocampus_config, 16)
    assert data.info().labels == (1, 2)
    assert len(data.cases) == 3
    for case in data.cases:
        image, labels = loader.hippo_case(case.name.rpartition("_")[2])
        prepared = data.store.images(case)
        assert np.abs(prepared.image[0].numpy() - image).max() <= 1e-6
        assert np.array_equal(prepared.labels[0].numpy(), labels)


def test_validation_pairs_are_moving_and_fixed(a_hippocampus_config):
    with pytest.warns(UserWarning, match="1 of 4"):
        data = TrainingData(a_hippocampus_config, 16)
    pairs = json.loads((data_folder() / "hippocampus" / "val_pairs.json").read_text(encoding="utf-8"))["pairs"]
    names = [f"hippocampus_{moving} hippocampus_{fixed}" for fixed, moving in pairs[:2]]
    assert [batch.names[0] for batch in data.validation()] == names
