"""Measures: overlap and distances against hand-made truths."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.report.measures import dice_by_label, displacement_error, foreground

GEOMETRY = a_geometry("oblique", (10, 10, 10))


def test_dice_counts_every_label_of_the_fixed_map():
    fixed, other = np.zeros((2, 10, 10, 10), np.uint8)
    fixed[:2], fixed[4:6], fixed[8:] = 3, 7, 9
    other[1:3], other[4:6] = 3, 7
    dice = dice_by_label(LabelMap(fixed, GEOMETRY), LabelMap(other, GEOMETRY))
    assert dice == {3: 0.5, 7: 1.0, 9: 0.0}


def test_errors_of_a_rotation_grow_with_the_distance_from_its_axis():
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0])
    inside = np.ones(GEOMETRY.shape, bool)
    error = displacement_error(AffineTransform(matrix), AffineTransform(np.eye(4)), GEOMETRY, inside)
    distance = 2 * np.hypot(*np.moveaxis(GEOMETRY.points()[..., :2], -1, 0))
    assert error.mean == pytest.approx(distance.mean())
    assert error.percentile_95 == pytest.approx(np.percentile(distance, 95))
    assert error.largest == pytest.approx(distance.max())


def test_errors_are_taken_inside_the_region_only():
    matrix = np.diag([2.0, 1.0, 1.0, 1.0])
    inside = np.zeros(GEOMETRY.shape, bool)
    inside[2, 3, 4] = True
    error = displacement_error(AffineTransform(matrix), AffineTransform(np.eye(4)), GEOMETRY, inside)
    assert error.mean == error.largest == pytest.approx(abs(GEOMETRY.voxel_to_world((2, 3, 4))[0]))
    assert str(error).startswith(f"{error.mean:.2f} mm (95th")


def test_foreground_is_what_is_brighter_than_air():
    array = np.random.default_rng(0).normal(10, 1, GEOMETRY.shape)
    array[3:6, 3:6, 3:6] += 200
    mask = foreground(Image(array, GEOMETRY))
    assert mask.sum() == 27
    assert mask[4, 4, 4]
