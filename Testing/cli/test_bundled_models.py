"""The models that come with the extension register real anatomy from the command line."""

from __future__ import annotations

import json

import pytest
from support.hippocampi import BUNDLED, OF_HIPPOCAMPI, dice, file_of, read_case, validation_pairs
from VoxelMorphLib.cli.register import main
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.io.images import read_label_map
from VoxelMorphLib.core.io.transforms import read_transform
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER

PAIRS = 4


@pytest.mark.slow
@pytest.mark.parametrize("entry", OF_HIPPOCAMPI, ids=lambda entry: entry.id)
def test_a_bundled_model_aligns_pairs_it_was_not_trained_on(entry, tmp_path):
    measured = {row["metric"]: row["value"] for row in entry.measured}
    found, back = [], []
    for fixed, moving in validation_pairs(PAIRS):
        argv = ["--fixed", file_of("images", fixed), "--moving", file_of("images", moving), "--model", entry.id]
        argv += ["--movingLabels", file_of("labels", moving), "--movedLabels", str(tmp_path / "moved.nii.gz")]
        argv += ["--forward", str(tmp_path / "forward.h5"), "--inverse", str(tmp_path / "inverse.h5")]
        assert main([*argv, "--device", "cpu"]) == 0
        (_, fixed_labels), (_, moving_labels) = read_case(fixed), read_case(moving)
        brought = read_transform(tmp_path / "inverse.h5").resample(fixed_labels, moving_labels.geometry)
        found.append(dice(fixed_labels, read_label_map(tmp_path / "moved.nii.gz")))
        back.append(dice(moving_labels, brought))
    assert sum(found) / PAIRS == pytest.approx(measured["mean Dice, register"], abs=0.05)
    assert sum(back) / PAIRS == pytest.approx(measured["mean Dice, fixed to moving, register"], abs=0.05)


@pytest.mark.parametrize("entry", OF_HIPPOCAMPI, ids=lambda entry: entry.id)
def test_both_directions_of_a_bundled_model_overlap_alike(entry):
    measured = {row["metric"]: row["value"] for row in entry.measured}
    for way in ("network alone", "register"):
        there, back = (measured[f"mean Dice, {direction}{way}"] for direction in ("", "fixed to moving, "))
        assert abs(there - back) < 0.02


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.id)
def test_a_bundled_file_says_the_same_as_the_catalogue(entry):
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(str(BUNDLED_FOLDER / entry.file), framework="numpy") as file:
        said = json.loads(file.metadata()["voxelmorph"])
    said["space"] = NetworkSpace.from_dict(said["space"]).to_dict()  # what is newer than the file has its default
    own, said = (json.loads(json.dumps(values)) for values in (entry.to_dict(), said))
    assert {key: own[key] for key in said} == said
