"""Volumes beyond a limit are registered on bounded memory, to the same result as below it."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import CompositeTransform, DisplacementField
from VoxelMorphLib.registration import network_space
from VoxelMorphLib.registration.optimise import PRESETS, Level, Preset
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.registration.result import Registration

SHAPE = (36, 34, 30)


@pytest.fixture
def a_pair(monkeypatch) -> tuple[Image, Image]:
    """Two volumes that an optimisation sees on fewer voxels than they have."""
    levels = (Level(2, 4), Level(1, 4))
    monkeypatch.setitem(PRESETS, "fast", Preset(levels, levels, 8_000, 3_000_000))
    return a_blob_image(a_geometry("anisotropic", SHAPE)), a_blob_image(a_geometry("LPS", SHAPE, 1.9))


def registered(pair: tuple[Image, Image], affine: str = "centre") -> Registration:
    return register_pair(*pair, options=RegistrationOptions(affine=affine, refine="fast"))


def field_of(result: Registration) -> DisplacementField:
    first = result.forward.transforms[0] if isinstance(result.forward, CompositeTransform) else result.forward
    assert isinstance(first, DisplacementField)
    return first


@pytest.mark.parametrize("affine", ["none", "centre"])
def test_the_field_of_a_large_volume_is_kept_where_it_was_found(a_pair, affine, monkeypatch):
    fixed = a_pair[0]
    usual = registered(a_pair, affine)
    monkeypatch.setattr(network_space, "LARGEST_FIELD", 10_000)
    large = registered(a_pair, affine)
    assert field_of(usual).geometry.shape == fixed.geometry.shape
    assert field_of(large).array.size < 0.5 * field_of(usual).array.size
    for found, expected in ((large.forward, usual.forward), (large.inverse, usual.inverse)):
        grid = fixed.geometry
        difference = found.to_displacement(grid).array - expected.to_displacement(grid).array
        assert np.abs(difference).max() < 1e-3
    np.testing.assert_allclose(large.moved.array, usual.moved.array, atol=2e-3)


def test_figures_of_a_large_volume_count_its_own_voxels(a_pair, monkeypatch):
    usual = registered(a_pair).report
    monkeypatch.setattr(network_space, "LARGEST_FIELD", 10_000)
    large = registered(a_pair).report
    for name in ("similarity_after", "mutual_information_after", "local_similarity_after"):
        assert getattr(large, name) == pytest.approx(getattr(usual, name), abs=1e-3)
    assert large.inverse_residual_mm == pytest.approx(usual.inverse_residual_mm, abs=0.02)
    assert large.folded_percent == pytest.approx(usual.folded_percent, abs=0.01)
