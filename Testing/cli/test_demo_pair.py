"""The sample pair: what it promises about geometry, intensities and truth."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from VoxelMorphLib.cli.demo_pair import LABEL_NAMES, SamplePair, make_sample_pair
from VoxelMorphLib.core.errors import DependencyError


@pytest.fixture(scope="module")
def pair() -> SamplePair:
    pytest.importorskip("nilearn", reason="the sample pair is made from nilearn's template")
    return make_sample_pair()


@pytest.fixture(scope="module")
def inside(pair) -> np.ndarray:
    return pair.fixed_labels.array > 0


def test_the_deformation_is_large_but_within_the_anatomy(pair, inside):
    length = np.linalg.norm(pair.truth.array, axis=-1)[inside]
    assert 4 < length.mean() < 6
    assert length.max() < 20


def test_the_truth_is_a_diffeomorphism_with_its_exact_inverse(pair, inside):
    assert pair.truth.folded_voxels() == 0
    points = pair.fixed.geometry.points()[inside][::7]
    back = pair.truth.inverse().apply_to_points(pair.truth.apply_to_points(points))
    residual = np.linalg.norm(back - points, axis=-1)
    assert residual.mean() < 0.05
    assert residual.max() < 0.2


def test_the_two_grids_differ_in_orientation_tilt_and_voxels(pair):
    fixed, moving = pair.fixed.geometry, pair.moving.geometry
    assert (fixed.orientation, moving.orientation) == ("RAS", "LIA")
    assert np.linalg.det(fixed.direction) > 0
    assert np.abs(moving.direction).max(axis=0).min() < np.cos(np.deg2rad(5))
    assert len(set(moving.spacing.round(3))) == 3


def test_the_truth_brings_the_moving_brain_onto_the_fixed_one(pair, inside):
    """Contrast and noise differ, so the correlation inside the brain is high and not perfect."""
    moved = pair.truth.resample(pair.moving, pair.fixed.geometry)
    correlation = np.corrcoef(moved.array[inside], pair.fixed.array[inside])[0, 1]
    assert 0.9 < correlation < 0.999
    moved_labels = pair.truth.resample(pair.moving_labels, pair.fixed.geometry)
    assert (moved_labels.array == pair.fixed_labels.array)[inside].mean() > 0.85


def test_the_brains_lie_inside_their_grids_with_air_around(pair):
    for image in (pair.fixed, pair.moving):
        for axis in range(3):
            planes = np.moveaxis(image.array, axis, 0)
            assert not planes[[0, 1, -2, -1]].any()


def test_labels_are_named(pair):
    assert pair.fixed_labels.labels().tolist() == pair.moving_labels.labels().tolist() == list(LABEL_NAMES)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_pair_and_another_one_does_not(pair):
    again, other = make_sample_pair(0), make_sample_pair(1)
    np.testing.assert_array_equal(again.moving.array, pair.moving.array)
    assert not np.array_equal(other.moving.array, pair.moving.array)


def test_a_missing_template_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(DependencyError, match=r"nilearn, which is not installed\. Install it .* or name your own"):
        make_sample_pair()
