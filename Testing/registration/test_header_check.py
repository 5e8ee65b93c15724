"""Positions near the headers are judged by what both images show, not by how much their intensities agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform
from VoxelMorphLib.registration.header_check import HeaderCheck

GRID = Geometry((40, 36, 32), np.diag([1.0, 1.0, 1.0, 1.0]))
TISSUE = gaussian_filter(np.random.default_rng(0).normal(size=GRID.shape), 1.5)
TISSUE = np.pad(((TISSUE - TISSUE.min()) / np.ptp(TISSUE))[6:-6, 6:-6, 6:-6] + 0.3, 6).astype(np.float32)
FIXED = Image(TISSUE, GRID, "fixed")
#: Another contrast of the same tissue.
OTHER = np.where(TISSUE > 0, 1.5 - TISSUE, 0).astype(np.float32)


def moved_by(*mm: float) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return AffineTransform(matrix)


@pytest.mark.parametrize("array", [TISSUE, OTHER], ids=["same contrast", "other contrast"])
def test_what_is_better_is_taken_and_what_is_worse_is_not(array: np.ndarray) -> None:
    right, wrong = moved_by(2, -1, 1), moved_by(-1, 1, 0)
    moving = Image(shift(array, (2, -1, 1), order=1), GRID, "moving")
    check = HeaderCheck(FIXED, moving)
    assert check.best([right]) is right and check.best([right, wrong]) is right
    assert check.best([wrong]) is IDENTITY
    assert HeaderCheck(FIXED, Image(array, GRID, "aligned")).best([moved_by(0.3, 0, 0)]) is IDENTITY


def test_only_the_inside_of_a_mask_counts() -> None:
    """One half fits here, the other half there."""
    array = TISSUE.copy()
    array[20:] = shift(TISSUE, (0, 2, 0), order=1)[20:]
    moving, there = Image(array, GRID, "moving"), moved_by(0, 2, 0)
    masks = np.zeros((2, *GRID.shape), np.uint8)
    masks[0, :18], masks[1, 22:] = 1, 1
    one, other = (HeaderCheck(FIXED, moving, LabelMap(mask, GRID, "mask")).best([there]) for mask in masks)
    assert one is IDENTITY and other is there


def test_far_positions_are_not_its_business() -> None:
    far = moved_by(15, 0, 0)
    assert HeaderCheck(FIXED, FIXED).best([far]) is far


def test_label_maps_are_compared_too() -> None:
    labels = LabelMap(np.rint(3 * TISSUE).astype(np.uint8), GRID, "labels")
    assert HeaderCheck(labels, labels).best([moved_by(1, 0, 0)]) is IDENTITY
