"""Folds and large changes of volume are told with what to change; one folded voxel of millions is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from VoxelMorphLib.registration.predictor import known_entry
from VoxelMorphLib.registration.verdict import strained

OPTIMISE, NETWORK = known_entry("optimise"), known_entry("hippocampus-T1")
USUAL = {"folded_voxels": 0, "folded_percent": 0.0, "jacobian_min": 0.4, "jacobian_max": 2.5}


def told(entry=NETWORK, optimises=False, **figures) -> str:
    return strained(SimpleNamespace(**{**USUAL, **figures}), entry, optimises)


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"jacobian_min": 0.2, "jacobian_max": 5.0},
        {"folded_voxels": 1, "folded_percent": 100 / 5e6, "jacobian_min": 0.3},
    ],
    ids=["usual", "at the limits", "one of five million"],
)
def test_what_is_usual_is_not_told(figures):
    assert told(**figures) == ""


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"jacobian_max": 6.04}, "enlarges the volume 6.0 times. "),
        ({"jacobian_min": 0.03}, "shrinks the volume to 0.03 of what it was. "),
        ({"jacobian_min": 0.03, "jacobian_max": 7}, "to 0.03 of what it was and enlarges the volume 7.0 times. "),
        (
            {"folded_voxels": 312, "folded_percent": 0.0214, "jacobian_min": -1},
            "folds 312 of the fixed voxels (0.021 %)",
        ),
    ],
    ids=["large", "small", "both", "folded"],
)
def test_what_is_unusual_is_told_once(figures, words):
    sentence = told(**figures)
    assert sentence.startswith("Somewhere the deformation ") and words in sentence
    assert sentence.count("shrinks") <= 1 and ("folds" not in sentence or "shrinks" not in sentence)


def test_what_to_change_fits_what_was_used():
    folded = {"folded_voxels": 312, "folded_percent": 0.0214}
    assert told(NETWORK, **folded).endswith("Choose the model optimise, which needs no training on such volumes.")
    for entry in (OPTIMISE, NETWORK):
        sentence = told(entry, optimises=True, **folded)
        assert "larger smoothness" in sentence and "diffeomorphic" not in sentence and "the model" not in sentence
