"""How many turned and shifted copies of a real head the affine start finds, and what it takes near and far."""

from __future__ import annotations

from functools import partial

import numpy as np
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.registration.initialisation import affine_start

from .clock import median, processor_seconds
from .row import Row
from .settings import Settings

#: Poses for every round that was asked for: 100 with the usual five.
POSES = 20
#: Largest angles, degrees; shifts in mm, and scales.
NEAR_DEG, FAR_DEG, SHIFT_MM, SCALES = 45.0, 180.0, 20.0, (0.85, 1.15)
#: Mean distance to the truth over the head that counts as found.
FOUND_MM = 2.0


def measure_poses(settings: Settings) -> list[Row]:
    """Share of the copies that are found within 2 mm, and seconds of the processor for each."""
    path = settings.data / "brain_oasis30" / "1000_t1.nii.gz"
    if not path.is_file():
        return [Row("poses", "turned copies found", note=f"{path} is absent; set VXM_DATA to its folder")]
    head = read_image(str(path))
    count = POSES * settings.repeats
    return [
        row for name, largest in (("near", NEAR_DEG), ("far", FAR_DEG)) for row in _rows(head, name, largest, count)
    ]


def _rows(head: Image, name: str, largest_deg: float, count: int) -> list[Row]:
    random = np.random.default_rng(0)
    errors, seconds = [], []
    for _ in range(count):
        truth = random_pose(random, largest_deg, head.geometry.centre)
        copy = Image(head.array, Geometry(head.geometry.shape, truth @ head.geometry.affine), "copy")
        found: list[np.ndarray] = []
        seconds.append(processor_seconds(partial(_find, head, copy, found)))
        errors.append(_distance_mm(head, found[0], truth))
    note = f"of {count}; angles up to {largest_deg:.0f} degrees, worst {max(errors):.2g} mm"
    share = float(np.mean(np.array(errors) < FOUND_MM))
    return [
        Row("poses", f"{name} copies found within {FOUND_MM:.0f} mm", 100 * share, "%", note=note),
        Row("poses", f"affine start of {name} copies", median(seconds), "s CPU"),
    ]


def _find(fixed: Image, moving: Image, found: list[np.ndarray]) -> None:
    found.append(affine_start(fixed, moving, "affine").transform.matrix)


def random_pose(random: np.random.Generator, largest_deg: float, centre: np.ndarray) -> np.ndarray:
    """(4, 4), RAS mm: a turn about any axis through `centre`, by a uniform angle, with a shift and a scale."""
    x, y, z = axis = random.standard_normal(3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / np.linalg.norm(axis)
    angle = np.deg2rad(random.uniform(0, largest_deg))
    matrix = np.eye(4)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues' formula
    matrix[:3, :3] = random.uniform(*SCALES) * turn
    matrix[:3, 3] = centre + random.uniform(-SHIFT_MM, SHIFT_MM, 3) - matrix[:3, :3] @ centre
    return matrix


def _distance_mm(head: Image, found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the head."""
    difference = found - truth
    points = head.geometry.points()[head.array > 0.15 * np.percentile(head.array, 99)][::100]
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())
