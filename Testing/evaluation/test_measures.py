"""Measures of structures, landmarks and transforms agree with SimpleITK, and with shapes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, GEOMETRIES, a_blob_image, a_geometry, a_label_map, a_smooth_field
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.itk import itk_image
from VoxelMorphLib.core.landmarks import LandmarkPairs
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.evaluation.measures import (
    Compared,
    consistency_rows,
    landmark_rows,
    overlap_rows,
    similarity_rows,
    volume_change,
)
from VoxelMorphLib.evaluation.rows import DICE, HAUSDORFF, MEAN, SURFACE, VOLUME
from VoxelMorphLib.evaluation.structures import structures_of

SHAPE = (26, 24, 20)


@pytest.fixture(params=GEOMETRIES)
def maps(request):
    """Two label maps of overlapping structures on one grid, away from its border."""
    grid = a_geometry(request.param, SHAPE, 1.1)
    first = a_label_map(grid).array.copy()
    second = np.roll(a_label_map(grid, seed=0).array, (2, -1, 1), (0, 1, 2)).copy()
    for array in (first, second):
        border = np.ones(SHAPE, bool)
        border[2:-2, 2:-2, 2:-2] = False
        array[border] = 0
    return LabelMap(first, grid, "first"), LabelMap(second, grid, "second")


def measured(first: LabelMap, second: LabelMap) -> dict[tuple[str, int], float]:
    pairs = zip(structures_of(first), structures_of(second))
    rows = overlap_rows([Compared(a, None, b) for a, b in pairs], first.geometry, None, IDENTITY)
    return {(row.measure, row.label): row.after for row in rows}


def test_overlap_is_that_of_simpleitk(maps):
    first, second = maps
    found = measured(first, second)
    oracle = sitk.LabelOverlapMeasuresImageFilter()
    oracle.Execute(*(itk_image(labels.array.astype(np.int16), labels.geometry) for labels in (first, second)))
    for label in (2, 17, 53):
        assert found[DICE, label] == pytest.approx(oracle.GetDiceCoefficient(label), abs=1e-9)
        signed = oracle.GetVolumeSimilarity(label)
        assert found[VOLUME, label] == pytest.approx(1 - abs(signed) / 2, abs=1e-9)


def test_distances_are_those_of_simpleitk(maps):
    first, second = maps
    found = measured(first, second)
    for label in (2, 17, 53):
        images = [itk_image((labels.array == label).astype(np.uint8), labels.geometry) for labels in maps]
        contours = [sitk.LabelContour(image, fullyConnected=False) for image in images]
        distances = [np.abs(sitk.GetArrayFromImage(distance_map(contour))) for contour in contours]
        surfaces = [sitk.GetArrayFromImage(contour) > 0 for contour in contours]
        both = np.concatenate([distances[1][surfaces[0]], distances[0][surfaces[1]]])
        assert found[HAUSDORFF, label] == pytest.approx(np.percentile(both, 95), abs=1e-4)
        assert found[SURFACE, label] == pytest.approx(both.mean(), abs=1e-4)


def distance_map(contour: sitk.Image) -> sitk.Image:
    return sitk.SignedMaurerDistanceMap(contour, squaredDistance=False, useImageSpacing=True)


def boxes(grid: Geometry, shift: tuple[int, int, int]) -> tuple[LabelMap, LabelMap]:
    first = np.zeros(grid.shape, np.uint8)
    first[6:12, 6:12, 6:12] = 1
    return LabelMap(first, grid, "first"), LabelMap(np.roll(first, shift, (0, 1, 2)), grid, "second")


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("name", ["anisotropic", "left-handed oblique"])
def test_boxes_that_are_shifted_along_an_axis_are_that_many_mm_apart(name, axis):
    grid = a_geometry(name, SHAPE, 1.0)
    shift = [0, 0, 0]
    shift[axis] = 3
    first, second = boxes(grid, tuple(shift))
    found = measured(first, second)
    assert found[HAUSDORFF, 1] == pytest.approx(3 * grid.spacing[axis], abs=1e-9)
    oracle = sitk.HausdorffDistanceImageFilter()
    oracle.Execute(*(itk_image(labels.array, labels.geometry) for labels in (first, second)))
    assert oracle.GetHausdorffDistance() == pytest.approx(3 * grid.spacing[axis], abs=1e-4)
    assert found[DICE, 1] == 0.5 and found[VOLUME, 1] == 1


@pytest.mark.parametrize("axis", range(3))
def test_a_single_slice_is_compared_by_its_contours(axis):
    """A square in the middle of a larger one: every corner and edge of either is 4 voxels from the other."""
    shape = [24, 24, 24]
    shape[axis] = 1
    grid = a_geometry("anisotropic", tuple(shape), 1.0)
    first, second = (np.zeros(shape, np.uint8) for _ in range(2))
    plane = tuple(slice(None) if n == 1 else slice(4, 20) for n in shape)
    first[plane] = 1
    second[tuple(slice(None) if n == 1 else slice(8, 16) for n in shape)] = 1
    found = measured(LabelMap(first, grid), LabelMap(second, grid))
    spacing = np.delete(grid.spacing, axis)
    assert 4 * spacing.min() <= found[SURFACE, 1] <= 4 * np.linalg.norm(spacing)
    assert found[HAUSDORFF, 1] > 4 * spacing.min()


def test_a_structure_that_was_lost_counts_as_nothing():
    grid = a_geometry("RAS", SHAPE)
    first, _ = boxes(grid, (0, 0, 0))
    lost = structures_of(LabelMap(np.zeros(SHAPE, np.uint8), grid, "empty")) or structures_of(first)
    gone = [Compared(lost[0], None, type(lost[0])("label 1", 1, LabelMap(np.zeros(SHAPE, np.uint8), grid)))]
    found = {row.measure: row.after for row in overlap_rows(gone, grid, None, IDENTITY)}
    assert found == {DICE: 0, HAUSDORFF: None, SURFACE: None, VOLUME: 0}


def scaling(factors: tuple[float, float, float]) -> AffineTransform:
    matrix = np.diag([*factors, 1.0])
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE
    return AffineTransform(matrix)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("factors", [(1.2, 1.1, 0.9), (-1, 1, 1), (-1.5, 1, 1)])
def test_the_volume_ratio_is_that_of_the_map_whatever_the_axes(name, factors):
    """A map that mirrors everything folds nothing."""
    grid = a_geometry(name)
    change = volume_change(scaling(factors), grid)
    expected = abs(np.prod(factors))
    assert (change.folded_voxels, change.folded_percent) == (0, 0)
    assert [change.minimum, change.maximum] == pytest.approx([expected] * 2, rel=1e-4)
    assert change.log_std == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_folds_are_counted_alike_on_all_axes(name):
    grid = a_geometry(name, (20, 12, 10))
    array = np.zeros((*grid.shape, 3))
    array[10] = grid.affine[:3, 0] * 4  # one plane jumps over its neighbours
    change = volume_change(DisplacementField(array, grid), grid)
    assert change.folded_voxels == 12 * 10 and change.folded_percent == pytest.approx(5)
    assert [change.minimum, change.maximum] == pytest.approx([-1, 3], abs=1e-3)


def test_the_spread_of_the_logarithm_is_known_for_two_halves():
    """Half of the grid is stretched by a, half by b: the spread is half of the logarithm of their ratio."""
    grid = Geometry((41, 4, 4), np.eye(4))
    x = np.arange(41.0)
    place = np.where(x <= 20, 1.5 * x, 30 + 0.75 * (x - 20))
    array = np.zeros((41, 4, 4, 3))
    array[..., 0] = (place - x)[:, None, None]
    change = volume_change(DisplacementField(array, grid), grid)
    assert change.log_std == pytest.approx(math.log(2) / 2, rel=0.03)


def test_only_the_contents_count_for_the_spread():
    grid = Geometry((41, 4, 4), np.eye(4))
    array = np.zeros((41, 4, 4, 3))
    array[:20, ..., 0] = (0.5 * np.arange(20))[:, None, None]
    bright = np.zeros(grid.shape)
    bright[25:, :, :] = 100
    field = DisplacementField(array, grid)
    assert volume_change(field, grid, Image(bright, grid)).log_std == pytest.approx(0, abs=1e-6)
    assert volume_change(field, grid).log_std > 0.1


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_round_trip_that_misses_by_a_known_step_is_told_in_mm(name):
    grid = a_geometry(name)
    shift = np.eye(4)
    shift[:3, 3] = 2, 3, 6
    there = AffineTransform(shift)
    back = np.eye(4)
    back[:3, 3] = -2, 0, -2  # 5 mm short
    rows = {row.structure: row.after for row in consistency_rows(there, AffineTransform(back), grid)}
    assert rows == {MEAN: pytest.approx(5), "99th percentile": pytest.approx(5)}
    field = DisplacementField(a_smooth_field(grid, 1.0), grid)
    assert next(iter(consistency_rows(field, field.inverse(), grid))).after < 0.05


def test_landmarks_are_measured_in_mm_before_and_after():
    fixed = CENTRE + np.random.default_rng(0).uniform(-5, 5, (4, 3))
    shift = np.eye(4)
    shift[:3, 3] = 0, 3, 4
    pairs = LandmarkPairs(fixed, fixed + (0, 3, 4), ("a", "", "c", "d"))
    rows = list(landmark_rows(pairs, IDENTITY, AffineTransform(shift)))
    assert [row.structure for row in rows] == ["a", "2", "c", "d", MEAN]
    assert all(row.before == pytest.approx(5) and row.after == pytest.approx(0) for row in rows)
    assert all(row.after is None for row in landmark_rows(pairs, IDENTITY, None))


def test_without_the_moving_image_only_the_result_is_compared():
    grid = a_geometry("oblique", SHAPE)
    image = a_blob_image(grid)
    correlation, information = similarity_rows(image, None, image)
    assert (correlation.before, correlation.after) == (None, pytest.approx(1))
    assert information.before is None and information.after > 1
    correlation, _ = similarity_rows(image, image, None)
    assert (correlation.before, correlation.after) == (pytest.approx(1), None)
