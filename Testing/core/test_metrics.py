"""Evaluation: overlaps, distances, folding and similarity of pairs whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.metrics import (
    correlation,
    dice,
    folding,
    mutual_information,
    overlap,
    surface_distances,
    target_registration_error,
)
from VoxelMorphLib.core.transform import AffineTransform

LABEL_MAPS = arrays(np.int16, (4, 3, 5), elements=st.integers(0, 4))


def a_cube(start, size=8, shape=(20, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + size) for s in start)] = True
    return mask


def an_image(seed=0, shape=(16, 15, 14)):
    return np.random.default_rng(seed).random(shape)


@given(LABEL_MAPS, LABEL_MAPS)
def test_dice_is_twice_the_shared_voxels_over_the_sum(first, second):
    labels = [label for label in np.union1d(first, second) if label]
    expected = [
        2 * np.sum((first == label) & (second == label)) / (np.sum(first == label) + np.sum(second == label))
        for label in labels
    ]
    np.testing.assert_allclose(dice(first, second), expected)
    np.testing.assert_allclose(dice(second, first), expected)
    assert list(overlap(first, second).by_label) == labels


def test_dice_keeps_the_order_of_the_labels_and_gives_absent_ones_zero():
    first = np.array([0, 1, 1, 2])
    second = np.array([0, 1, 2, 2])
    np.testing.assert_allclose(dice(first, second, labels=[2, 9, 1]), [2 / 3, 0, 2 / 3])
    np.testing.assert_allclose(dice(first, second, include_zero=True), [1, 2 / 3, 2 / 3])


def test_the_overlap_report_leaves_absent_labels_out_of_the_mean():
    first = np.array([0, 1, 1, 3])
    second = np.array([0, 1, 1, 0])
    report = overlap(first, second, labels=[0, 1, 3, 9])
    assert report.by_label == {1: 1.0, 3: 0.0}
    assert report.absent == (9,)
    assert report.mean == 0.5
    assert math.isnan(overlap(first, second, labels=[9]).mean)


def test_labels_in_floating_point_count_too():
    first = np.array([0.0, 17.0, 17.0])
    assert overlap(first, first.astype(np.int32)).by_label == {17: 1.0}


def test_folding_counts_determinants_that_are_not_positive():
    jacobian = np.ones((4, 5, 5))
    jacobian[0, 0, :3] = 0, -2, 3
    summary = folding(jacobian)
    assert (summary.count, summary.percent, summary.minimum, summary.maximum) == (2, 2.0, -2.0, 3.0)
    assert folding(jacobian, jacobian > 0).count == 0


def test_the_target_registration_error_is_that_of_the_mapped_landmarks():
    fixed = np.array([[0.0, 0, 0], [10, 20, 30]])
    shift = np.eye(4)
    shift[:3, 3] = 1, 2, 2
    moving = fixed + np.array([1, 2, 2])
    np.testing.assert_allclose(target_registration_error(fixed, moving), [3, 3])
    np.testing.assert_allclose(target_registration_error(fixed, moving, AffineTransform(shift)), [0, 0])


def test_surface_distances_of_a_shifted_cube_follow_the_spacing():
    first, second = a_cube((5, 5, 5)), a_cube((7, 5, 5))
    assert surface_distances(first, first).maximum == 0
    assert surface_distances(first, second).maximum == 2
    assert surface_distances(first, second, (3, 1, 1)).maximum == 6
    distances = surface_distances(first, second)
    assert distances == surface_distances(second, first)
    assert 0 < distances.mean < distances.percentile95 <= distances.maximum


def test_the_correlation_ignores_contrast_and_brightness():
    image = an_image()
    assert correlation(image, 3 * image + 7) == pytest.approx(1)
    assert correlation(image, -image) == pytest.approx(-1)
    assert abs(correlation(image, an_image(1))) < 0.1
    assert correlation(image, np.full_like(image, 4)) == 0


def test_mutual_information_ignores_any_renaming_of_intensities():
    image = np.round(an_image() * 7)
    entropy = mutual_information(image, image)
    assert mutual_information(image, 9 - image) == pytest.approx(entropy)
    assert mutual_information(image, (image - 3) ** 2) < entropy
    assert mutual_information(image, image, normalised=True) == pytest.approx(2)
    assert mutual_information(image, image * 0, normalised=True) == pytest.approx(1)
    assert mutual_information(image * 0, image * 0, normalised=True) == 1
    assert mutual_information(image, image * 0) == pytest.approx(0)


def test_similarity_may_be_limited_to_a_mask():
    first, second = an_image(0), an_image(1)
    mask = a_cube((2, 2, 2), 6, first.shape)
    second[mask] = first[mask]
    assert correlation(first, second, mask) == pytest.approx(1)
    assert mutual_information(first, second, mask=mask) > mutual_information(first, second)


@pytest.mark.parametrize("compare", [dice, overlap, target_registration_error, surface_distances, correlation])
def test_shapes_must_agree(compare):
    with pytest.raises(GeometryError, match=r"\(2, 3\) and \(3, 2\) differ"):
        compare(np.ones((2, 3)), np.ones((3, 2)))


def test_nothing_to_compare_is_refused():
    with pytest.raises(GeometryError, match="No voxel is left"):
        folding(np.ones((3, 3)), np.zeros((3, 3)))
    with pytest.raises(GeometryError, match="without voxels has no surface"):
        surface_distances(a_cube((1, 1, 1)), np.zeros((20, 20, 20)))
