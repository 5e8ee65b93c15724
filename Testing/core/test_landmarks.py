"""Landmark pairs: paired by label or order, fitted by least squares, refused when they leave something open."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import rotation
from VoxelMorphLib.core.errors import ImageError
from VoxelMorphLib.core.landmarks import Points, as_points, check_pairs, fit_landmarks, paired

PLACES = np.random.default_rng(0).uniform(-50, 50, (6, 3))


def named(positions: np.ndarray, *labels: str) -> Points:
    return Points(positions, labels or ("",) * len(positions), f"{len(positions)} points")


def test_points_are_paired_by_their_labels() -> None:
    pairs = paired(named(PLACES[:3], "a", "b", "c"), named(PLACES[[2, 0, 1]], "c", "a", "b"))
    np.testing.assert_array_equal(pairs.fixed, pairs.moving)
    assert pairs.names == ("a", "b", "c")


@pytest.mark.parametrize("labels", [("", "", ""), ("a", "b", "d"), ("a", "a", "b")])
def test_other_labels_are_paired_by_their_order(labels) -> None:
    pairs = paired(named(PLACES[:3], "a", "b", "c"), named(PLACES[3:], *labels))
    np.testing.assert_array_equal(pairs.moving, PLACES[3:])


def test_the_rigid_map_comes_back_whatever_its_turn() -> None:
    for angle in (0, 30, 120, 180):
        turn, shift = rotation((3, -1, 2), angle), np.array([5.0, -7, 30])
        found = fit_landmarks(PLACES, PLACES @ turn.T + shift, "rigid").matrix
        np.testing.assert_allclose(found[:3], np.column_stack([turn, shift]), atol=1e-9)


def test_the_rigid_map_of_three_points_turns_and_never_mirrors() -> None:
    turn = rotation((0, 1, 1), 70)
    np.testing.assert_allclose(fit_landmarks(PLACES[:3], PLACES[:3] @ turn.T, "rigid").matrix[:3, :3], turn, atol=1e-9)
    mirrored = fit_landmarks(PLACES, PLACES * [-1, 1, 1], "rigid").matrix[:3, :3]
    assert np.linalg.det(mirrored) == pytest.approx(1)


def test_noise_is_averaged() -> None:
    """No other turn about any axis is nearer."""
    moving = PLACES @ rotation((1, 0, 2), 40).T + np.random.default_rng(1).normal(0, 2, PLACES.shape)
    best = fit_landmarks(PLACES, moving, "rigid")
    error = np.square(best.apply_to_points(PLACES) - moving).sum()
    middle = moving.mean(axis=0)
    for axis in np.eye(3):
        for angle in (-1, 1):
            turned = (best.apply_to_points(PLACES) - middle) @ rotation(axis, angle).T + middle
            assert np.square(turned - moving).sum() > error


def test_the_affine_map_comes_back() -> None:
    matrix = np.array([[1.2, 0.1, 0, 3], [-0.2, 0.8, 0.1, 4], [0, 0.3, 1.1, -9], [0, 0, 0, 1]])
    moving = PLACES @ matrix[:3, :3].T + matrix[:3, 3]
    np.testing.assert_allclose(fit_landmarks(PLACES[:4], moving[:4], "affine").matrix, matrix, atol=1e-9)


LINE = np.outer(np.arange(5.0), [1, 2, 3])


@pytest.mark.parametrize(
    ("points", "kind", "words"),
    [
        (PLACES[:1], "rigid", "1 pair of landmarks cannot determine the rigid start, which needs at least 3"),
        (PLACES[:3], "affine", "3 pairs of landmarks cannot determine the affine start, which needs at least 4"),
        (LINE, "rigid", "lie on one line"),
        (LINE + np.random.default_rng(0).normal(0, 1e-4, LINE.shape), "rigid", "lie on one line"),
        (PLACES * [1, 1, 0], "affine", "lie on one plane"),
        (PLACES[[0, 0, 0]], "rigid", "coincide"),
    ],
)
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_what_leaves_the_map_undetermined_is_refused(points, kind, words, role) -> None:
    good = PLACES[: len(points)]
    pair = (points, good) if role == "fixed" else (good, points)
    with pytest.raises(ImageError, match=words) as caught:
        fit_landmarks(*pair, kind)
    assert "cannot determine" in str(caught.value) or f"The {role} landmarks" in str(caught.value)


@pytest.mark.parametrize("kind", ["affine", "thin-plate"])
def test_a_mirror_is_refused(kind) -> None:
    with pytest.raises(ImageError, match=f"The {kind} start of these landmarks would mirror .*determinant -1"):
        fit_landmarks(PLACES, PLACES * [-1, 1, 1], kind)


@pytest.mark.parametrize("values", [[], [[1, 2]], [1, 2, 3], "words", [[1, 2, "x"]], [[1, 2], [3]], None, 5])
def test_what_is_no_list_of_points_is_refused(values) -> None:
    with pytest.raises(ImageError, match="The fixed landmarks have the shape"):
        as_points(values, "fixed")


def test_coordinates_that_are_no_numbers_are_named() -> None:
    with pytest.raises(ImageError, match=r"moving landmark 2 is .*nan"):
        as_points([[1, 2, 3], [1, np.nan, 3]], "moving")


def test_both_images_or_neither_have_landmarks() -> None:
    assert check_pairs(None, None) is None
    with pytest.raises(ImageError, match="fixed landmarks but no moving ones"):
        check_pairs(PLACES, None)
    with pytest.raises(ImageError, match="6 fixed landmarks and 5 moving ones"):
        check_pairs(PLACES, PLACES[:5])
