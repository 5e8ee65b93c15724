"""Real anatomy, small: in a minute the train command makes a network that aligns hippocampi it has never seen."""

from __future__ import annotations

import json

import pytest
import torch
from support.shared_data import data_folder
from VoxelMorphLib.cli.train import main
from VoxelMorphLib.training.monitors.curves import read_curves

CASES, PAIRS = 24, 6
#: Mean Dice that the training must add to that of its first validation.
MARGIN = 0.05


@pytest.fixture
def lists(tmp_path):
    """The first training cases and the first validation pairs, as files of the command."""
    folder = data_folder() / "hippocampus"
    cases = json.loads((folder / "train_cases.json").read_text(encoding="utf-8"))[:CASES]
    pairs = json.loads((folder / "val_pairs.json").read_text(encoding="utf-8"))["pairs"][:PAIRS]
    (tmp_path / "cases.txt").write_text("\n".join(cases))
    (tmp_path / "pairs.txt").write_text("\n".join(f"{moving} {fixed}" for fixed, moving in pairs))
    argv = ["--imageList", tmp_path / "cases.txt", "--labelList", tmp_path / "cases.txt"]
    argv += ["--validationList", tmp_path / "pairs.txt", "--validationLabelList", tmp_path / "pairs.txt"]
    for name in ("image", "label"):
        argv += [f"--{name}Prefix", f"{folder}/{name}s/hippocampus_", f"--{name}Suffix", ".nii.gz"]
    return [str(word) for word in argv]


@pytest.mark.slow
def test_a_minute_of_training_aligns_unseen_hippocampi(lists, tmp_path):
    pytest.importorskip("nibabel")
    size = ["--shape", "48,64,48", "--encoder", "8,16,16", "--decoder", "16,16,16,8", "--svfResolution", "2"]
    length = ["--epochs", "6", "--stepsPerEpoch", "40", "--validateEvery", "1", "--lr", "2e-3", "--schedule", "cosine"]
    losses = ["--imageLoss", "ncc", "--smoothness", "1", "--diceWeight", "1", "--flips"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        argv = [*lists, *size, *length, *losses, "--device", "cpu", "--pictures", "0", "--outputDir", tmp_path / "out"]
        assert main(["--recipe", "semisupervised", *map(str, argv)]) == 0
    finally:
        torch.set_num_threads(threads)
    rows = read_curves(tmp_path / "out" / "curves.csv")
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.02
    assert rows[-1]["val_dice"] > 0.576 + MARGIN
    assert rows[-1]["val_folded_percent"] < 1
