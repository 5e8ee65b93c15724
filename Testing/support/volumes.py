"""Small volumes for tests: grids of every handedness and tilt, blobs to see, and smooth displacements to follow."""

from __future__ import annotations

import numpy as np
import pytest
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap

#: Names of `a_geometry`; parametrise over them, because a flipped axis passes on an identity affine.
GEOMETRIES = ("RAS", "LAS", "LPS", "oblique", "anisotropic", "left-handed oblique")

#: RAS mm around which every grid and every blob of this module lies.
CENTRE = np.array([6.0, -11.0, 17.0])

SHAPE = (14, 12, 10)


def rotation(axis: tuple[float, float, float], angle_deg: float) -> np.ndarray:
    """(3, 3), rotation about `axis` (Rodrigues' formula)."""
    unit = np.array(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -unit[2], unit[1]], [unit[2], 0, -unit[0]], [-unit[1], unit[0], 0]])
    angle = np.deg2rad(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def transformed(geometry: Geometry, matrix: np.ndarray) -> Geometry:
    """The grid moved by a (4, 4) RAS -> RAS matrix."""
    return Geometry(geometry.shape, np.asarray(matrix, float) @ geometry.affine)


def a_geometry(name: str = "RAS", shape: tuple[int, int, int] = SHAPE, spacing: float = 2.0) -> Geometry:
    """The grid called `name` in `GEOMETRIES`, centred at `CENTRE`; extents and spacings differ along the axes."""
    signs = {"LAS": (-1, 1, 1), "LPS": (-1, -1, 1), "left-handed oblique": (1, -1, 1)}.get(name, (1, 1, 1))
    tilt = rotation((1, 2, 3), 25) if "oblique" in name else np.eye(3)
    mm = spacing * np.array((0.9, 0.6, 1.7) if name in ("anisotropic", "left-handed oblique") else (1, 1, 1))
    direction = tilt * np.array(signs)
    origin = CENTRE - direction @ (mm * (np.array(shape) - 1) / 2)
    return Geometry.from_parts(shape, mm, direction, origin)


@pytest.fixture(params=GEOMETRIES)
def any_geometry(request: pytest.FixtureRequest) -> Geometry:
    """x."""
    return a_geometry(request.param)


def blob_values(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """(...), a smooth scene of Gaussian blobs at (..., 3) RAS mm, between 0 and about 2; one scene per seed."""
    rng = np.random.default_rng(seed)
    centres = CENTRE + rng.uniform(-8, 8, (6, 3))
    widths = rng.uniform(3, 6, 6)
    squared = ((np.asarray(points)[..., None, :] - centres) ** 2).sum(axis=-1)
    return np.exp(-squared / (2 * widths**2)).sum(axis=-1)


def a_blob_image(geometry: Geometry, seed: int = 0, dtype: str = "float32") -> Image:
    """The blobs of one seed seen on `geometry`: two grids see the same anatomy."""
    return Image((100 * blob_values(geometry.points(), seed)).astype(dtype), geometry, "blobs")


def a_label_map(geometry: Geometry, seed: int = 0) -> LabelMap:
    """Three nested structures of the same blobs, labels 0, 2, 17 and 53."""
    levels = np.digitize(blob_values(geometry.points(), seed), (0.4, 0.8, 1.2))
    return LabelMap(np.array([0, 2, 17, 53], np.int16)[levels], geometry, "labels")


def smooth_displacement(points: np.ndarray, amplitude_mm: float = 2.0, seed: int = 0) -> np.ndarray:
    """(..., 3), RAS mm at (..., 3) RAS mm: slow sine waves, invertible up to amplitudes of about 4 mm."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-1, 1, (3, 3)) / 8
    phases = rng.uniform(0, 2 * np.pi, 3)
    return amplitude_mm * np.sin((np.asarray(points) - CENTRE) @ waves + phases)


def a_smooth_field(geometry: Geometry, amplitude_mm: float = 2.0, seed: int = 0) -> np.ndarray:
    """(I, J, K, 3), float64, RAS mm: `smooth_displacement` at the voxels of `geometry`."""
    return smooth_displacement(geometry.points(), amplitude_mm, seed)
