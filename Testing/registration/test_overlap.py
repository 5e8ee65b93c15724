"""Two fields of view meet, or they do not: wherever they lie, however they are turned, and however small one is."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import rotation
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.registration.overlap import overlap_share, overlaps
from VoxelMorphLib.registration.register import register_pair


def a_box(shape, spacing, centre, direction=None) -> Geometry:
    direction = np.eye(3) if direction is None else direction
    first = np.array(centre) - direction @ (np.array(spacing) * (np.array(shape) - 1) / 2)
    return Geometry.from_parts(shape, spacing, direction, first)


WHOLE_BODY = a_box((64, 64, 360), (8.0, 8.0, 5.0), (0, 0, 0))


@pytest.mark.parametrize("height_mm", [0.0, 60.0, 61.7, 890.0])
def test_a_small_field_of_view_inside_a_large_one_is_found(height_mm):
    assert overlaps(WHOLE_BODY, a_box((8, 8, 4), (1.0, 1.0, 1.0), (3, 5, height_mm)), IDENTITY)


def test_plates_that_cross_meet():
    flat = a_box((50, 50, 2), (4.0, 4.0, 1.0), (0, 0, 0))
    upright = a_box((2, 50, 50), (1.0, 4.0, 4.0), (0, 0, 0))
    assert overlaps(flat, upright, IDENTITY) and overlap_share(flat, upright, IDENTITY) == 0


def test_boxes_beside_each_other_are_apart():
    for direction in np.eye(3):
        assert not overlaps(WHOLE_BODY, a_box((8, 8, 4), (1.0, 1.0, 1.0), 1900 * direction), IDENTITY)
    corner = a_box((60, 60, 60), (1.0, 1.0, 1.0), (75, 75, 0), rotation((0, 0, 1), 45))
    assert not overlaps(a_box((60, 60, 60), (1.0, 1.0, 1.0), (0, 0, 0)), corner, IDENTITY)


def test_the_transform_counts():
    far = a_box((8, 8, 8), (1.0, 1.0, 1.0), (5000, 0, 0))
    shift = np.eye(4)
    shift[0, 3] = 5000
    assert not overlaps(WHOLE_BODY, far, IDENTITY)
    assert overlaps(WHOLE_BODY, far, AffineTransform(shift))
    field = np.zeros((*WHOLE_BODY.shape, 3), np.float32)
    assert overlaps(WHOLE_BODY, WHOLE_BODY, DisplacementField(field, WHOLE_BODY))
    field[..., 0] = 5000
    assert not overlaps(WHOLE_BODY, WHOLE_BODY, DisplacementField(field, WHOLE_BODY))


@pytest.mark.slow
def test_random_boxes_meet_where_many_places_say_so():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        turns = [rotation(rng.normal(size=3), rng.uniform(0, 180)) for _side in range(2)]
        fixed, moving = (
            a_box(rng.integers(20, 60, 3), rng.uniform(0.5, 2, 3), rng.uniform(-45, 45, 3), turn) for turn in turns
        )
        sampled = overlap_share(fixed, moving, IDENTITY) > 0 or overlap_share(moving, fixed, IDENTITY) > 0
        assert overlaps(fixed, moving, IDENTITY) >= sampled  # places can only miss an overlap
        assert overlaps(fixed, moving, IDENTITY) == overlaps(moving, fixed, IDENTITY)
        seen.add((sampled, overlaps(fixed, moving, IDENTITY)))
    assert {(True, True), (False, False)} <= seen


@pytest.mark.slow
def test_a_slab_within_a_long_volume_is_registered():
    noise = np.random.default_rng(0)
    grids = a_box((16, 16, 90), (32.0, 32.0, 20.0), (0, 0, 0)), a_box((24, 24, 12), (8.0, 8.0, 6.0), (0, 0, 60))
    long, slab = (Image(noise.random(grid.shape), grid, name) for grid, name in zip(grids, ("long", "slab")))
    options = RegistrationOptions(affine="none", budget_s=1, device="cpu")
    assert register_pair(long, slab, options=options).moved.array.any()
    away = Image(long.array, long.geometry.shifted((0, 0, 200), long.array.shape), "away")
    with pytest.raises(GeometryError, match="do not overlap in the patient"):
        register_pair(long, away, options=options)
