"""What lies under the initial transform of a registration is moved and measured as what lies under nothing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.mrml_nodes import add_volume
from support.segmentations import add_segmentation, segment_voxels
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap

GRID = Geometry((40, 36, 32), np.diag([1.0, 1.0, 1.0, 1.0]))
HERE, THERE = np.array([20.0, 18.0, 16.0]), np.array([30.0, 18.0, 16.0])
#: More time than it needs: a busy machine shall find the same.
OPTIONS = RegistrationOptions(affine="none", budget_s=60, device="cpu")


def distance(place: np.ndarray) -> np.ndarray:
    return np.linalg.norm(GRID.points() - place, axis=-1)


@pytest.fixture
def a_pair(scene):
    """Volume, segmentation and landmark of a ball, and of the same ball 10 mm to the right."""
    sides = []
    for name, place in (("fixed", HERE), ("moving", THERE)):
        volume = add_volume(Image(np.clip(120 - 10 * distance(place), 0, None).astype(np.float32), GRID), name)
        ball = LabelMap((distance(place) < 7).astype(np.uint8), GRID)
        segmentation = add_segmentation(f"{name} parts", [ball], [("ball", "ball", 0, 1)])
        point = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"{name} point")
        point.AddControlPoint(*place)
        sides.append((volume, segmentation, point))
    return sides


@pytest.fixture(params=["under it", "beside it"])
def a_registered_pair(logic, a_pair, request):
    """Registered with an initial transform that does most of it; what is moving lies under it, as users leave it."""
    initial = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "initial")
    shift = np.eye(4)
    shift[0, 3] = -7
    initial.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    (fixed, moving) = a_pair
    if request.param == "under it":
        for node in moving:
            node.SetAndObserveTransformNodeID(initial.GetID())
    return logic.register(fixed[0], moving[0], "optimise", OPTIONS, initial), fixed, moving


def test_what_is_carried_along_lands_on_the_fixed_image(logic, a_registered_pair):
    nodes, fixed, (volume, segmentation, point) = a_registered_pair
    again = logic.applyTransform(volume, nodes["forward"], fixed[0])
    moved, expected = (slicer.util.arrayFromVolume(node) for node in (again, nodes["moved"]))
    np.testing.assert_allclose(moved, expected, atol=1e-3)
    carried = logic.applyTransform(point, nodes["forward"]).GetNthControlPointPosition(0)
    assert np.linalg.norm(np.array(carried) - HERE) < 0.5
    parts = logic.applyTransform(segmentation, nodes["forward"], fixed[0])
    moved, truth = segment_voxels(parts, "ball"), distance(HERE) < 7
    assert 2 * (moved & truth).sum() / (moved.sum() + truth.sum()) > 0.97


def test_the_way_back_starts_from_the_place_of_the_moving_volume(logic, a_registered_pair):
    nodes, fixed, moving = a_registered_pair
    back = logic.applyTransform(fixed[2], nodes["inverse"]).GetNthControlPointPosition(0)
    assert np.linalg.norm(np.array(back) - THERE) < 0.5
    moved = logic.applyTransform(fixed[0], nodes["inverse"])
    difference = np.abs(slicer.util.arrayFromVolume(moved) - slicer.util.arrayFromVolume(moving[0]))
    assert np.median(difference[difference > 0]) < 6  # of 120; the ball lies where it lay


def test_the_table_compares_with_the_initial_alignment(logic, a_registered_pair):
    nodes, fixed, moving = a_registered_pair
    for is_fresh in (True, False):
        table = logic.evaluate(
            fixed[0],
            moving[0],
            nodes["moved"],
            nodes["forward"],
            fixed[1],
            moving[1],
            fixed[2],
            moving[2],
            isFresh=is_fresh,
        )
        rows = {
            table.GetCellText(row, 0): [table.GetCellText(row, c) for c in (2, 3)]
            for row in range(table.GetNumberOfRows())
        }
        for measure in ("Dice overlap (0 to 1)", "Dice overlap, fixed to moving (0 to 1)"):
            before, after = map(float, rows[measure])
            assert 0.5 < before < 0.9 and after > 0.96
        before, after = (float(text.removesuffix(" mm")) for text in rows["Landmark error"])
        assert before == pytest.approx(3.0, abs=1e-6) and after < 0.5
        before, after = map(float, rows["Correlation (-1 to 1)"])
        assert 0.5 < before < 0.99 and after > 0.99
