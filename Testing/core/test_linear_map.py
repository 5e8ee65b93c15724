"""Sampling through a matrix gives what sampling at its points gives."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_geometry, rotation
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.image_resampling import resample_mapped
from VoxelMorphLib.core.linear_map import LinearMap
from VoxelMorphLib.core.transform import AffineTransform

MATRIX = np.eye(4)
MATRIX[:3, :3] = rotation((1, -2, 1), 30) * (1.1, 0.8, 1.2)
MATRIX[:3, 3] = 1.5, -7, 2.5
MAP = AffineTransform(MATRIX)
GRID = a_geometry("oblique", (15, 9, 11), 1.6)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64", "bool", "uint8"])
@pytest.mark.parametrize("aside", [0.0, 60.0], ids=["partly outside", "outside"])
def test_a_matrix_samples_as_its_points(interpolation, dtype, aside, monkeypatch):
    monkeypatch.setattr("VoxelMorphLib.core.image_resampling.SLAB_VOXELS", 200)
    geometry = a_geometry("LPS").shifted((aside, 0, 0), a_geometry("LPS").shape)
    image = Image((100 * np.random.default_rng(0).random(geometry.shape)).astype(dtype), geometry)
    points = resample_mapped(image, GRID, lambda slab: MAP.map_slab(GRID, slab), interpolation, 7)
    matrix = resample_mapped(image, GRID, lambda _slab: pytest.fail("points"), interpolation, 7, MATRIX)
    np.testing.assert_allclose(matrix.array, points.array, atol=1e-9)
    assert matrix.array.dtype == points.array.dtype
    if not aside:
        assert 0.1 < (points.array == np.array(7).astype(dtype)).mean() < 0.9 or dtype == "bool"


@pytest.mark.parametrize("angle", [0, 30, 90])
@pytest.mark.parametrize("aside", [0.0, 9.0, 400.0], ids=["inside", "partly", "outside"])
def test_an_array_is_looked_for_in_the_box_that_it_reaches(angle, aside):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, -2, 1), angle) * (1.1, -0.8, 1.2)
    matrix[:3, 3] = aside - 7, 12, -5
    shape, extents = (30, 40, 35), (12, 15, 11)
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((voxels >= -0.5) & (voxels <= np.array(extents) - 0.5)).all(-1)
    box = LinearMap(matrix, shape).reach(extents)
    assert inside[box].sum() == inside.sum()
    if aside > 100:
        assert not inside[box].size
    elif not angle:
        assert inside[box].mean() > 0.6
