"""The thin-plate start: landmarks meet, space bends as little as it can, and what folds is refused."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import GEOMETRIES, a_geometry, rotation
from VoxelMorphLib.core import thin_plate
from VoxelMorphLib.core.errors import ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.thin_plate import fit_thin_plate
from VoxelMorphLib.core.transform import AffineTransform

NUMBERS = np.random.default_rng(0)


def landmarks(geometry: Geometry, count: int = 12) -> np.ndarray:
    """Inside, each at a voxel of its own."""
    inner = np.array(geometry.shape) - 4
    return geometry.voxel_to_world(2 + np.array(sorted({tuple(NUMBERS.integers(0, inner)) for _ in range(count)})))


def bent(points: np.ndarray, size: float) -> np.ndarray:
    """A turn, a stretch, and a smooth displacement of up to `size` mm."""
    middle = points.mean(axis=0)
    turned = (points - middle) @ (rotation((1, 2, 0), 15) @ np.diag([1.1, 0.95, 1.0])).T + middle + [3, -2, 1]
    return turned + size * np.sin((points - middle) / 12.0)[:, [1, 2, 0]]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_landmarks_meet_and_come_back(name) -> None:
    geometry = a_geometry(name)
    fixed = landmarks(geometry)
    moving = bent(fixed, 2.0)
    start = fit_thin_plate(fixed, moving, geometry)
    np.testing.assert_allclose(start.apply_to_points(fixed), moving, atol=0.02)
    np.testing.assert_allclose(start.inverse().apply_to_points(moving), fixed, atol=0.1)


def test_an_affine_map_is_not_bent() -> None:
    geometry = a_geometry("oblique")
    fixed = landmarks(geometry)
    moving = bent(fixed, 0.0)
    start = fit_thin_plate(fixed, moving, geometry)
    places = geometry.points().reshape(-1, 3)
    affine = start.transforms[-1]
    assert isinstance(affine, AffineTransform)
    np.testing.assert_allclose(start.apply_to_points(places), affine.apply_to_points(places), atol=1e-4)


def test_it_is_the_thin_plate_spline_of_vtk() -> None:
    vtk = pytest.importorskip("vtk", reason="vtk is not installed")
    geometry = a_geometry("RAS", (24, 24, 24), 1.0)
    fixed = landmarks(geometry)
    moving = bent(fixed, 1.5)
    spline, sides = vtk.vtkThinPlateSplineTransform(), []
    for points in (fixed, moving):
        sides.append(vtk.vtkPoints())
        for point in points:
            sides[-1].InsertNextPoint(*point)
    spline.SetSourceLandmarks(sides[0])
    spline.SetTargetLandmarks(sides[1])
    spline.SetBasisToR()
    places = geometry.points()[::5, ::5, ::5].reshape(-1, 3)
    expected = np.array([spline.TransformPoint(*place) for place in places])
    np.testing.assert_allclose(fit_thin_plate(fixed, moving, geometry).apply_to_points(places), expected, atol=1e-3)


def test_a_large_volume_gets_a_coarse_field(monkeypatch) -> None:
    monkeypatch.setattr(thin_plate, "MOST_NODES", 1000)
    geometry = a_geometry("RAS", (40, 40, 10), 1.0)
    fixed = landmarks(geometry)
    start = fit_thin_plate(fixed, bent(fixed, 2.0), geometry)
    nodes = start.transforms[0].geometry
    assert np.prod(nodes.shape) < 1500
    np.testing.assert_allclose(nodes.centre, geometry.centre)
    np.testing.assert_allclose(start.apply_to_points(fixed), bent(fixed, 2.0), atol=0.5)


def test_pairs_that_only_a_fold_brings_together_are_named() -> None:
    geometry = a_geometry("RAS", (24, 24, 24), 1.0)
    fixed = landmarks(geometry, 10)
    fixed[:2] = geometry.centre, geometry.centre + [3, 0, 0]
    moving = fixed.copy()
    moving[:2] = fixed[1::-1]
    with pytest.raises(ImageError, match=r"would fold \d+ of 13824 places, .* landmarks [12] and [12], whose pairs"):
        fit_thin_plate(fixed, moving, geometry)


def test_too_many_pairs_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(thin_plate, "MOST_PAIRS", 5)
    fixed = landmarks(a_geometry())
    with pytest.raises(ImageError, match=f"There are {len(fixed)} pairs of landmarks, .* at most 5"):
        fit_thin_plate(fixed, fixed, a_geometry())


def test_two_at_one_place_are_refused() -> None:
    fixed = landmarks(a_geometry())
    moving = fixed.copy()
    moving[3] = moving[1]
    with pytest.raises(ImageError, match="The moving landmarks 2 and 4 lie at one place"):
        fit_thin_plate(fixed, moving, a_geometry())
