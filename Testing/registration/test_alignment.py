"""Aligning a pair is one question, whichever image is called fixed."""

from __future__ import annotations

import numpy as np
import pytest
from support.hippocampi import read_case, validation_pairs
from support.volumes import GEOMETRIES, a_geometry, blob_values, rotation, smooth_displacement
from VoxelMorphLib import register
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform, Transform
from VoxelMorphLib.registration.order import precedes

#: Of voxels, as promised.
TOLERANCE_VOX = 0.3


def seen_on(geometry: Geometry, seed: int, warped: bool = False) -> Image:
    """The blobs with a voxel's own noise; noise and interpolation are what leads a search elsewhere."""
    points = geometry.points()
    values = 100 * blob_values(points + smooth_displacement(points) if warped else points)
    return Image(values + np.random.default_rng(seed).normal(0, 4, values.shape), geometry, f"blobs {seed}")


def difference_vox(one: Transform, other: Transform, geometry: Geometry) -> float:
    """Mean distance of where two maps take the voxels of a grid."""
    points = geometry.points()
    distance = np.linalg.norm(one.apply_to_points(points) - other.apply_to_points(points), axis=-1)
    return float(distance.mean() / geometry.spacing.mean())


@pytest.mark.parametrize("name", GEOMETRIES)
def test_swapping_gives_the_inverse_on_any_grids(name) -> None:
    fixed, moving = seen_on(a_geometry("RAS", (22, 20, 21)), 1), seen_on(a_geometry(name, (20, 24, 16)), 2, warped=True)
    options = RegistrationOptions(affine="none", similarity="ncc")
    there, back = register(fixed, moving, options=options), register(moving, fixed, options=options)
    assert difference_vox(there.forward, back.inverse, fixed.geometry) < TOLERANCE_VOX
    assert difference_vox(there.inverse, back.forward, moving.geometry) < TOLERANCE_VOX
    assert difference_vox(there.forward, AffineTransform(np.eye(4)), fixed.geometry) > 2 * TOLERANCE_VOX


def test_through_an_initial_transform_masks_and_landmarks() -> None:
    turn = np.eye(4)
    turn[:3, :3] = rotation((1, 1, 0), 20)
    turn[:3, 3] = 3, -2, 1
    fixed, moving = seen_on(a_geometry("RAS", (22, 20, 21)), 1), seen_on(a_geometry("oblique", (20, 24, 16)), 2, True)
    moving = Image(moving.array, Geometry(moving.geometry.shape, turn @ moving.geometry.affine), "turned")
    masks = [LabelMap((image.array > 5).astype(np.uint8), image.geometry, "mask") for image in (fixed, moving)]
    initial = AffineTransform(turn)
    places = fixed.geometry.points()[6:16:8, 6:16:8, 6:16:8].reshape(-1, 3)
    landmarks = places, initial.apply_to_points(places + 0.5)
    options = RegistrationOptions(affine="none", similarity="ncc")

    def found(one: int, other: int, start: AffineTransform):
        images = fixed, moving
        return register(
            images[one],
            images[other],
            options=options,
            initial=start,
            fixed_mask=masks[one],
            moving_mask=masks[other],
            fixed_landmarks=landmarks[one],
            moving_landmarks=landmarks[other],
        )

    there, back = found(0, 1, initial), found(1, 0, initial.inverse())
    assert difference_vox(there.forward, back.inverse, fixed.geometry) < TOLERANCE_VOX
    assert difference_vox(there.forward, initial, fixed.geometry) > 0.1


@pytest.mark.parametrize("affine", ["auto", "centre", "affine"])
def test_hippocampi_swapped(affine) -> None:
    fixed, moving = (read_case(case)[0] for case in validation_pairs(1)[0])
    options = RegistrationOptions(affine=affine)
    there, back = register(fixed, moving, options=options), register(moving, fixed, options=options)
    assert difference_vox(there.forward, back.inverse, fixed.geometry) < TOLERANCE_VOX


def test_the_order_is_that_of_what_is_seen() -> None:
    small, large = seen_on(a_geometry("RAS", (10, 10, 10)), 0), seen_on(a_geometry("LPS", (11, 10, 10)), 0)
    assert precedes(small, large) and not precedes(large, small)
    half = LabelMap(np.zeros(large.array.shape, np.uint8), large.geometry, "half")
    half.array[:5] = 1
    assert precedes(large, small, half) and not precedes(small, large, None, half)
    darker = Image(small.array**2, small.geometry, "darker")
    assert precedes(darker, small) and not precedes(small, darker)
    assert precedes(small, small)
