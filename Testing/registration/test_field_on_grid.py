"""Fields of the network's grid on other grids: as `to_displacement` has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.volumes import GEOMETRIES, a_geometry
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.transform import Transform
from VoxelMorphLib.registration import network_space as module
from VoxelMorphLib.registration.network_space import decode, field_on_grid, reoriented

SHAPE = (14, 12, 13)


@pytest.fixture
def a_displacement() -> torch.Tensor:
    return torch.randn(1, 3, *SHAPE, generator=torch.Generator().manual_seed(0))


def agreement_mm(displacement: torch.Tensor, grid: Geometry, geometry: Geometry) -> float:
    found = field_on_grid(displacement, grid, geometry)
    assert found.array.dtype == np.float32 and found.geometry is geometry
    expected = Transform.to_displacement(decode(displacement, grid), geometry)
    return float(np.abs(found.array - expected.array).max())


@pytest.mark.parametrize("name", GEOMETRIES)
def test_other_voxel_sizes_and_angles(a_displacement, name):
    grid = a_geometry("oblique", SHAPE)
    geometry = a_geometry(name, (17, 18, 16), 0.83)
    before = a_displacement.clone()
    assert agreement_mm(a_displacement, grid, geometry) < 1e-4
    assert torch.equal(a_displacement, before)


def test_slabs_join_without_seams(a_displacement, monkeypatch):
    monkeypatch.setattr(module, "slabs", lambda geometry: [slice(0, 5), slice(5, 6), slice(6, geometry.shape[0])])
    grid = a_geometry("LPS", SHAPE)
    assert agreement_mm(a_displacement, grid, grid.with_spacing(0.9 * grid.spacing)) < 1e-4


@pytest.mark.parametrize("orientation", ["LIA", "RAS", "PSL"])
def test_voxels_that_coincide_are_copied(a_displacement, orientation, monkeypatch):
    monkeypatch.setattr(module, "_sampled", lambda *_: pytest.fail("sampled"))
    geometry = a_geometry("anisotropic", (12, 15, 14))
    whole = reoriented(geometry, orientation)
    grid = whole.shifted((1, -2, 0), SHAPE)
    assert agreement_mm(a_displacement, grid, geometry) < 1e-4


def test_a_large_grid_far_from_the_origin_keeps_its_precision():
    """Locations are made in float64: 300 voxels of 0.7 mm, a metre away."""
    displacement = torch.randn(1, 3, 211, 3, 3, generator=torch.Generator().manual_seed(1))
    grid = Geometry.from_parts((211, 3, 3), (1, 1, 1), np.eye(3), (1000, -1000, 1000))
    assert agreement_mm(displacement, grid, grid.with_spacing((0.7, 1, 1))) < 2e-4
