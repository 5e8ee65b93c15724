"""The classical start: known positions come back in millimetres."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import CENTRE, a_blob_image, a_geometry, any_geometry, blob_values, rotation, transformed  # noqa: F401
from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.registration.initialisation import affine_start

FINE = (30, 26, 28)


def about_centre(linear: np.ndarray, shift: tuple[float, float, float]) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = CENTRE + shift - linear @ CENTRE
    return AffineTransform(matrix)


def seen_through(truth: AffineTransform, geometry: Geometry) -> Image:
    """The blobs as a moving image for which `truth` is the map fixed -> moving."""
    return Image(100 * blob_values(truth.inverse().apply_to_points(geometry.points())), geometry, "moved blobs")


def error_mm(found: AffineTransform, truth: AffineTransform, image: Image) -> float:
    points = image.geometry.points()[image.array > 20]
    return float(np.linalg.norm(found.apply_to_points(points) - truth.apply_to_points(points), axis=1).mean())


def test_no_start_is_the_identity() -> None:
    image = a_blob_image(a_geometry())
    np.testing.assert_array_equal(affine_start(image, image, "none").transform.matrix, np.eye(4))


def test_middles_are_put_on_each_other_whatever_the_volumes_show(any_geometry: Geometry) -> None:  # noqa: F811
    fixed = a_blob_image(a_geometry("oblique", FINE, 1.0))
    moving = Image(np.ones(any_geometry.shape), any_geometry, "flat")
    found = affine_start(fixed, moving, "grid").transform
    np.testing.assert_allclose(found.apply_to_points(fixed.geometry.centre), any_geometry.centre)
    np.testing.assert_array_equal(found.matrix[:3, :3], np.eye(3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["centre", "rigid", "affine"])
def test_an_image_stays_where_it_is_on_itself(kind: str) -> None:
    image = a_blob_image(a_geometry("oblique", FINE, 1.0))
    np.testing.assert_array_equal(affine_start(image, image, kind).transform.matrix, np.eye(4))


TURNED = about_centre(1.03 * rotation((1, -1, 2), 12), (3.0, 2.0, -4.0))


def a_turned_pair() -> tuple[Image, Image]:
    fixed = a_blob_image(a_geometry("RAS", FINE, 1.0))
    return fixed, seen_through(TURNED, fixed.geometry)


@pytest.mark.slow
@pytest.mark.parametrize("outlier", [1e6, -32768.0])
def test_outliers_change_no_alignment(outlier: float) -> None:
    fixed, moving = a_turned_pair()
    arrays = [image.array.copy() for image in (fixed, moving)]
    for number, array in enumerate(arrays):
        if outlier > 0:
            array[3 + 9 * number, 4, 5] = outlier
        else:
            array[:3], array[-3:] = outlier, outlier
    found = affine_start(fixed.with_array(arrays[0]), moving.with_array(arrays[1]), "affine").transform
    assert error_mm(found, TURNED, fixed) < 0.6


def test_the_circle_of_two_padded_scans_does_not_hold_them() -> None:
    fixed, moving = (image.with_array(1200 * image.array - 1000) for image in a_turned_pair())
    i, j = np.ogrid[: FINE[0], : FINE[1]]
    outside = np.hypot((i - (FINE[0] - 1) / 2) / FINE[0], (j - (FINE[1] - 1) / 2) / FINE[1]) > 0.48
    padded = [image.with_array(np.where(outside[..., None], -2000, image.array)) for image in (fixed, moving)]
    assert error_mm(affine_start(*padded, "rigid").transform, TURNED, fixed) < 1.0


@pytest.mark.parametrize("method", ["Execute", "MetricEvaluate"])
def test_a_full_memory_is_not_taken_for_a_lost_overlap(monkeypatch, method) -> None:
    def fail(*_images):
        raise RuntimeError("Exception thrown in SimpleITK: Failed to allocate memory for image.")

    monkeypatch.setattr(sitk.ImageRegistrationMethod, method, fail)
    with pytest.raises(MemoryError, match="allocate"):
        affine_start(*a_turned_pair(), "affine")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-4, 0.01, 1000.0])
def test_the_size_of_a_voxel_does_not_matter(size: float) -> None:
    def scaled(image: Image) -> Image:
        return Image(image.array, transformed(image.geometry, np.diag([size, size, size, 1.0])), image.name)

    fixed, moving = a_turned_pair()
    found = affine_start(scaled(fixed), scaled(moving), "affine").transform.matrix.copy()
    found[:3, 3] /= size
    assert error_mm(AffineTransform(found), TURNED, fixed) < 0.6


@pytest.mark.slow
def test_swapped_images_give_the_inverse() -> None:
    fixed, moving = a_turned_pair()
    there, back = (affine_start(*pair, "affine").transform for pair in ((fixed, moving), (moving, fixed)))
    np.testing.assert_allclose(there.matrix @ back.matrix, np.eye(4), atol=1e-9)


@pytest.mark.slow
def test_a_shift_comes_back_over_all_geometries(any_geometry: Geometry) -> None:  # noqa: F811
    truth = about_centre(np.eye(3), (5.0, -4.0, 3.0))
    fixed = a_blob_image(a_geometry("RAS", FINE, 1.0))
    direction, spacing = any_geometry.direction, any_geometry.spacing / 1.6
    shape = np.ceil(44 / spacing).astype(int)
    origin = CENTRE + (2, -2, 1) - direction @ (spacing * (shape - 1) / 2)
    moving = seen_through(truth, Geometry.from_parts(tuple(shape), spacing, direction, origin))
    assert error_mm(affine_start(fixed, moving, "rigid").transform, truth, fixed) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("angle_deg", [12.0, 28.0])
def test_a_rotation_with_scaling_comes_back(angle_deg: float) -> None:
    truth = about_centre(1.06 * rotation((1, -1, 2), angle_deg), (3.0, 2.0, -4.0))
    fixed = a_blob_image(a_geometry("RAS", FINE, 1.0))
    moving = seen_through(truth, a_geometry("anisotropic", (52, 76, 28), 1.0))
    assert error_mm(affine_start(fixed, moving, "affine").transform, truth, fixed) < 0.6


@pytest.mark.slow
def test_images_far_apart_are_brought_together() -> None:
    truth = about_centre(np.eye(3), (300.0, -200.0, 150.0))
    fixed = a_blob_image(a_geometry("RAS", FINE, 1.0))
    moving = seen_through(truth, transformed(fixed.geometry, truth.matrix))
    for kind in ("centre", "rigid"):
        assert error_mm(affine_start(fixed, moving, kind).transform, truth, fixed) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slices", "thickness_mm", "kind"),
    [(2, 5.0, "centre"), (2, 5.0, "affine"), (3, 5.0, "affine"), (2, 1.0, "centre"), (2, 1.0, "rigid")],
)
def test_volumes_of_few_slices_are_aligned(slices: int, thickness_mm: float, kind: str) -> None:
    truth = about_centre(np.eye(3), (4.0, -3.0, 0.0))
    spacing, shape = np.array([1.0, 1.0, thickness_mm]), np.array([44, 40, slices])
    fixed = a_blob_image(Geometry.from_parts(shape, spacing, np.eye(3), CENTRE - spacing * (shape - 1) / 2))
    moving = Image(fixed.array, transformed(fixed.geometry, truth.matrix), "moved slices")
    assert error_mm(affine_start(fixed, moving, kind).transform, truth, fixed) < 1.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_start() -> None:
    fixed, moving = (a_blob_image(a_geometry("RAS", FINE, 1.0), seed) for seed in (0, 1))
    first, second = (affine_start(fixed, moving, "affine", seed=3).transform for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)  # bit for bit


def test_cancelling_inside_the_search_is_passed_on() -> None:
    def cancel_late(fraction: float, _text: str) -> None:
        if fraction > 0.2:
            raise Cancelled("stopped")

    image = a_blob_image(a_geometry("RAS", FINE, 1.0))
    with pytest.raises(Cancelled, match="stopped"):
        affine_start(image, image, "affine", progress=cancel_late)


@pytest.fixture
def ctrl_c_is_heard():
    """Also where the tests run in the background."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def test_ctrl_c_waits_for_itk_which_would_print_and_lose_it(ctrl_c_is_heard) -> None:
    called = []

    def interrupt(fraction: float, _text: str) -> None:
        if fraction > 0.31:  # the search of the pose is over
            signal.raise_signal(signal.SIGINT)
            called.append(fraction)

    image = a_blob_image(a_geometry("RAS", FINE, 1.0))
    with pytest.raises(KeyboardInterrupt):
        affine_start(image, image, "affine", progress=interrupt)
    assert len(called) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
