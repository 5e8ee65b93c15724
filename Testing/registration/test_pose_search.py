"""Heads that lie turned, cut or mirrored: the start finds them over all rotations, and says what should be checked."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.shared_data import data_folder
from support.volumes import CENTRE, a_geometry, blob_values, rotation
from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.registration.initialisation import Start, affine_start
from VoxelMorphLib.registration.pose_search import rotations

BOX = a_geometry("RAS", (44, 44, 44), 1.0)


def about_centre(linear: np.ndarray, shift: tuple[float, float, float] = (2.0, -3.0, 1.0)) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = CENTRE + shift - linear @ CENTRE
    return AffineTransform(matrix)


def seen_through(truth: AffineTransform, geometry: Geometry = BOX) -> Image:
    """The blobs as a moving image for which `truth` is the map fixed -> moving."""
    return Image(100 * blob_values(truth.inverse().apply_to_points(geometry.points())), geometry, "moved blobs")


def error_mm(found: Start, truth: AffineTransform, image: Image) -> float:
    points = image.geometry.points()[image.array > 20]
    return float(np.linalg.norm(found.transform.apply_to_points(points) - truth.apply_to_points(points), axis=1).mean())


def mirrored(image: Image, axis: int) -> Image:
    return image.with_array(np.flip(image.array, axis).copy())


@pytest.fixture(scope="module")
def the_blobs() -> Image:
    return seen_through(AffineTransform(np.eye(4)))


def test_the_rotations_leave_no_gap() -> None:
    turns = rotations(1200)
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    axes = np.random.default_rng(0).standard_normal((300, 3))
    others = np.array([rotation(axis, 180 * k / 299) for k, axis in enumerate(axes)])
    traces = np.einsum("aij,bij->ab", others, turns)
    nearest = np.degrees(np.arccos(np.clip((traces.max(axis=1) - 1) / 2, -1, 1)))
    assert nearest.max() < 26


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axis", "angle_deg", "kind"),
    [((0, 0, 1), 178.0, "affine"), ((1, 2, -1), 130.0, "rigid"), ((2, -1, 1), 75.0, "rigid")],
)
def test_a_far_turn_comes_back_and_is_said(
    the_blobs: Image, axis: tuple[float, ...], angle_deg: float, kind: str
) -> None:
    truth = about_centre(rotation(axis, angle_deg))
    found = affine_start(the_blobs, seen_through(truth), kind)
    assert error_mm(found, truth, the_blobs) < 0.6
    (warning,) = found.warnings
    said = re.search(r"turned by (\d+) degrees: check left and right", warning)
    assert said is not None and abs(int(said[1]) - angle_deg) <= 4


@pytest.mark.slow
def test_a_small_turn_is_nothing_to_say(the_blobs: Image) -> None:
    truth = about_centre(rotation((1, -1, 2), 20.0))
    assert affine_start(the_blobs, seen_through(truth), "rigid").warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 2])
def test_mirrored_contents_are_said_first_and_never_mirrored(the_blobs: Image, axis: int) -> None:
    found = affine_start(the_blobs, mirrored(the_blobs, axis), "affine")
    assert "looks mirrored" in found.warnings[0]
    assert np.linalg.det(found.transform.matrix[:3, :3]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kept", [np.s_[:24], np.s_[:, 22:]])
def test_half_a_volume_finds_its_place(the_blobs: Image, kept: tuple) -> None:
    whole = np.zeros(the_blobs.array.shape)
    whole[kept] = 1
    inside = np.argwhere(whole)
    first, last = inside.min(axis=0), inside.max(axis=0) + 1
    half = Image(the_blobs.array[kept], BOX.shifted(first, last - first), "half")
    there = AffineTransform(np.eye(4))
    assert error_mm(affine_start(the_blobs, half, "rigid"), there, the_blobs) < 1
    assert error_mm(affine_start(half, the_blobs, "rigid"), there, half) < 1


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 2])
def test_thick_slices_are_aligned(the_blobs: Image, axis: int) -> None:
    truth = about_centre(rotation((1, 1, 2), 15.0))
    shape, spacing = np.full(3, 60), np.ones(3)
    shape[axis], spacing[axis] = 10, 6.0
    grid = Geometry.from_parts(shape, spacing, np.eye(3), CENTRE - spacing * (shape - 1) / 2)
    assert error_mm(affine_start(the_blobs, seen_through(truth, grid), "rigid"), truth, the_blobs) < 1


@pytest.mark.slow
def test_space_around_the_contents_takes_no_precision(the_blobs: Image) -> None:
    truth = about_centre(rotation((1, -1, 2), 100.0))
    wide = Geometry.from_parts((100,) * 3, (1.0,) * 3, np.eye(3), CENTRE - 49.5)
    assert error_mm(affine_start(the_blobs, seen_through(truth, wide), "affine"), truth, the_blobs) < 0.6


def test_cancelling_while_poses_are_tried_is_passed_on(the_blobs: Image) -> None:
    def cancel(_fraction: float, text: str) -> None:
        if "pose" in text:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled, match="stopped"):
        affine_start(the_blobs, the_blobs, "rigid", progress=cancel)


@pytest.mark.slow
def test_a_brain_mirrored_left_to_right_is_told_from_another_one() -> None:
    one, other = (read_image(str(data_folder() / "brain_oasis30" / f"{n}_t1.nii.gz")) for n in (1000, 1001))
    assert "looks mirrored" in affine_start(one, mirrored(one, 0), "rigid").warnings[0]
    assert affine_start(one, other, "rigid").warnings == ()
