"""register_pair(): known motions in millimetres come back for images of every geometry."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.volumes import CENTRE, GEOMETRIES, a_blob_image, a_geometry, blob_values, rotation, transformed
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, ConfigError, DeviceError, GeometryError, ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.registration import starting
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.initialisation import Start
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.registration.result import Registration, RegistrationReport

#: More time than it needs: a busy machine shall find the same.
QUICK = RegistrationOptions(affine="none", budget_s=60)


def a_moving_grid(name: str) -> Geometry:
    """A grid of the kind `name` over the blobs, about 1.3 mm, with another centre than the fixed one."""
    kind = a_geometry(name)
    spacing = kind.spacing / kind.spacing.mean() * 1.3
    shape = np.ceil(46 / spacing).astype(int)
    origin = CENTRE + (1.5, -1, 2) - kind.direction @ (spacing * (shape - 1) / 2)
    return Geometry.from_parts(tuple(shape), spacing, kind.direction, origin)


def seen_through(truth: AffineTransform, geometry: Geometry) -> Image:
    return Image(100 * blob_values(truth.inverse().apply_to_points(geometry.points())), geometry, "moving blobs")


def motion(shift: tuple[float, float, float], angle_deg: float = 0.0) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((1, 1, -1), angle_deg)
    matrix[:3, 3] = CENTRE + shift - matrix[:3, :3] @ CENTRE
    return AffineTransform(matrix)


def error_mm(result: Registration, truth: AffineTransform, fixed: Image) -> float:
    points = fixed.geometry.points()[fixed.array > 25]
    difference = result.forward.apply_to_points(points) - truth.apply_to_points(points)
    return float(np.linalg.norm(difference, axis=1).mean())


@pytest.fixture(scope="module")
def a_fixed_image() -> Image:
    return a_blob_image(a_geometry("oblique", (34, 30, 28), 1.2))


@pytest.mark.slow
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_small_motion_comes_back_without_affine_start(a_fixed_image: Image, name: str) -> None:
    truth = motion((1.5, -1.0, 1.2), 4)
    moving = seen_through(truth, a_moving_grid(name))
    result = register_pair(a_fixed_image, moving, options=QUICK)
    assert error_mm(result, truth, a_fixed_image) < 0.7
    assert result.report.similarity_after > result.report.similarity_before
    assert result.moved.geometry.matches(a_fixed_image.geometry)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LPS", "left-handed oblique"])
def test_a_large_motion_comes_back_with_the_default_start(a_fixed_image: Image, name: str) -> None:
    truth = motion((9.0, -7.0, 6.0), 20)
    moving = seen_through(truth, a_moving_grid(name))
    result = register_pair(a_fixed_image, moving, options=RegistrationOptions(budget_s=60))
    assert result.report.affine == "affine"
    assert error_mm(result, truth, a_fixed_image) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LPS", "left-handed oblique"])
@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_without_deformation_the_start_is_all(a_fixed_image: Image, kind: str, name: str) -> None:
    truth = motion((6.0, -4.0, 3.0), 12)
    moving = seen_through(truth, a_moving_grid(name))
    result = register_pair(a_fixed_image, moving, "linear", RegistrationOptions(affine=kind))
    assert error_mm(result, truth, a_fixed_image) < 0.7
    matrix = result.forward.as_matrix()
    np.testing.assert_allclose(matrix @ result.inverse.as_matrix(), np.eye(4), atol=1e-9)
    if kind == "rigid":
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6)
    assert (result.report.model, result.report.affine, result.report.device) == ("linear", kind, "cpu")
    assert result.report.folded_percent == 0


@pytest.mark.slow
def test_without_deformation_an_initial_transform_is_a_part(a_fixed_image: Image) -> None:
    truth = motion((6.0, -4.0, 3.0), 12)
    moving = seen_through(truth, a_moving_grid("LPS"))
    options = RegistrationOptions(affine="rigid")
    result = register_pair(a_fixed_image, moving, "linear", options, initial=motion((4.0, -3.0, 2.0), 9))
    assert error_mm(result, truth, a_fixed_image) < 0.7


def test_without_deformation_and_start_there_is_nothing_to_do(a_fixed_image: Image) -> None:
    with pytest.raises(ConfigError, match="linear does nothing without a start"):
        register_pair(a_fixed_image, a_fixed_image, "linear", QUICK)


def test_equal_images_stay_aligned(a_fixed_image: Image) -> None:
    result = register_pair(a_fixed_image, a_fixed_image, options=QUICK)
    assert error_mm(result, AffineTransform(np.eye(4)), a_fixed_image) < 0.1
    assert result.report.folded_percent == 0


@pytest.mark.slow
def test_forward_and_inverse_cancel_within_a_tenth_of_a_voxel(a_fixed_image: Image) -> None:
    moving = seen_through(motion((4.0, 2.0, -3.0), 9), a_moving_grid("left-handed oblique"))
    result = register_pair(a_fixed_image, moving, options=RegistrationOptions(budget_s=60))
    tenth = 0.1 * a_fixed_image.geometry.spacing.min()
    assert result.report.inverse_residual_mm < tenth
    points = a_fixed_image.geometry.points()[4:-4, 4:-4, 4:-4]
    back = result.inverse.apply_to_points(result.forward.apply_to_points(points))
    assert np.linalg.norm(back - points, axis=-1).max() < tenth


@pytest.mark.slow
def test_the_moved_image_is_one_interpolation_of_the_original(a_fixed_image: Image) -> None:
    moving = seen_through(motion((2.0, 0.0, -1.0), 3), a_moving_grid("anisotropic"))
    result = register_pair(a_fixed_image, moving, options=QUICK)
    again = result.forward.resample(moving, a_fixed_image.geometry)
    np.testing.assert_array_equal(result.moved.array, again.array)
    assert result.moved.array.dtype == moving.array.dtype


@pytest.mark.slow
def test_an_initial_transform_is_part_of_the_result(a_fixed_image: Image) -> None:
    truth = motion((40.0, -30.0, 20.0), 25)
    moving = seen_through(truth, transformed(a_moving_grid("RAS"), motion((40.0, -30.0, 20.0)).matrix))
    near = AffineTransform(motion((1.0, 0.5, -0.5)).matrix @ truth.matrix)
    for affine in ("none", "rigid"):
        options = RegistrationOptions(affine=affine, budget_s=60)
        result = register_pair(a_fixed_image, moving, options=options, initial=near)
        assert error_mm(result, truth, a_fixed_image) < 0.7


@pytest.mark.slow
def test_a_bent_initial_transform_is_accepted(a_fixed_image: Image) -> None:
    moving = seen_through(motion((1.0, 0.0, 0.0)), a_moving_grid("RAS"))
    bent = DisplacementField(np.full((*a_fixed_image.geometry.shape, 3), 0.5, np.float32), a_fixed_image.geometry)
    result = register_pair(a_fixed_image, moving, options=QUICK, initial=bent)
    assert error_mm(result, motion((1.0, 0.0, 0.0)), a_fixed_image) < 0.7


@pytest.mark.slow
def test_volumes_apart_start_from_their_middles_unless_they_shall_stay(a_fixed_image: Image) -> None:
    truth = motion((400.0, 0.0, 0.0))
    moving = seen_through(truth, transformed(a_moving_grid("RAS"), truth.matrix))
    apart = pytest.raises(GeometryError, match=r"do not overlap in the patient\. Choose the start centre")
    with apart:
        register_pair(a_fixed_image, moving, options=RegistrationOptions(affine="none"))
    with apart:
        register_pair(a_fixed_image, moving, initial=motion((1.0, 0.0, 0.0)))
    found = register_pair(a_fixed_image, moving, "linear")
    assert error_mm(found, truth, a_fixed_image) < 0.7
    assert "do not overlap in the patient, so the registration started from their middles" in found.report.warnings[0]
    result = register_pair(a_fixed_image, moving, options=RegistrationOptions(affine="centre", budget_s=60))
    assert error_mm(result, truth, a_fixed_image) < 0.7


@pytest.mark.slow
def test_the_report_is_complete_and_plain(a_fixed_image: Image) -> None:
    result = register_pair(a_fixed_image, seen_through(motion((1.0, 0, 0)), a_moving_grid("RAS")), options=QUICK)
    report = result.report
    assert RegistrationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert report.model == "optimise"
    assert set(report.seconds) == {"load", "affine", "network", "resample", "measure", "total"}
    assert report.seconds["measure"] > 0
    assert (report.fixed_mask, report.moving_mask) == ("", "")
    assert report.mutual_information_after > report.mutual_information_before
    assert 0 < report.jacobian_min < 1 < report.jacobian_max
    assert report.options["budget_s"] == QUICK.budget_s


@pytest.mark.slow
def test_progress_rises_from_start_to_end(a_fixed_image: Image) -> None:
    seen: list[float] = []
    options = RegistrationOptions(affine="affine", budget_s=60)
    register_pair(a_fixed_image, a_fixed_image, options=options, progress=lambda fraction, _text: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 20


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0.0, 0.1, 0.5])
def test_cancelling_works_in_every_stage(a_fixed_image: Image, stop_at: float) -> None:
    def cancel(fraction: float, _text: str) -> None:
        if fraction >= stop_at:
            raise Cancelled(f"at {stop_at}")

    with pytest.raises(Cancelled, match=f"at {stop_at}"):
        register_pair(a_fixed_image, a_fixed_image, options=RegistrationOptions(affine="rigid"), progress=cancel)


@pytest.mark.slow
def test_inputs_are_left_as_they_were(a_fixed_image: Image) -> None:
    moving = seen_through(motion((1.0, 0, 0)), a_moving_grid("RAS"))
    copies = a_fixed_image.array.copy(), moving.array.copy()
    register_pair(a_fixed_image, moving, options=RegistrationOptions(affine="none", budget_s=1))
    np.testing.assert_array_equal(a_fixed_image.array, copies[0])
    np.testing.assert_array_equal(moving.array, copies[1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: np.zeros_like(a), "is empty or constant"),
        (lambda a: np.full_like(a, 7), r"constant \(every voxel is 7"),
        (lambda a: np.where(a > 50, np.nan, a), "NaN or infinite voxels"),
        (lambda a: np.where(a > 50, np.inf, a), "NaN or infinite voxels"),
        (lambda a: a[:, :1, :1], "only one axis has several voxels"),
    ],
)
def test_volumes_without_contents_are_refused(a_fixed_image: Image, spoil, message: str) -> None:
    array = spoil(a_fixed_image.array)
    bad = Image(array, Geometry(array.shape, a_fixed_image.geometry.affine), "bad")
    for pair in ((a_fixed_image, bad), (bad, a_fixed_image)):
        with pytest.raises(ImageError, match=message):
            register_pair(*pair)


def test_unknown_models_and_devices_are_refused(a_fixed_image: Image) -> None:
    with pytest.raises(ConfigError, match="no-such-model"):
        register_pair(a_fixed_image, a_fixed_image, "no-such-model", QUICK)
    with pytest.raises(DeviceError, match="no device 'cuda:77'"):
        register_pair(a_fixed_image, a_fixed_image, options=RegistrationOptions(device="cuda:77"))


@pytest.mark.slow
def test_volumes_of_truth_values_are_registered():
    pair = [
        Image(image.array > 30, image.geometry, "mask")
        for image in (a_blob_image(a_geometry("LAS"), seed) for seed in (0, 1))
    ]
    result = register_pair(*pair, options=RegistrationOptions(budget_s=1, device="cpu"))
    assert result.moved.array.dtype == bool


@pytest.mark.slow
def test_a_start_after_an_initial_transform_looks_at_few_voxels(monkeypatch):
    seen = []
    monkeypatch.setattr(starting, "SURROUNDINGS_VOXELS", 4000)
    monkeypatch.setattr(starting, "affine_start", lambda fixed, moving, *_rest: seen.append(moving) or Start(IDENTITY))
    image = a_blob_image(a_geometry("oblique", (40, 36, 32), 1.0))
    turned = AffineTransform(np.diag([1.02, 1, 1, 1]))
    register_pair(image, image, options=RegistrationOptions(affine="rigid", budget_s=1, device="cpu"), initial=turned)
    (moving,) = seen
    assert moving.array.size < 2 * 4000
    corners = moving.geometry.world_to_voxel(image.geometry.corners())
    assert corners.min() > 0 and (corners < np.array(moving.array.shape) - 1).all()


def test_what_the_start_warns_of_is_said_first(a_fixed_image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "affine_start", lambda *_all: Start(IDENTITY, ("It was turned.",)))
    options = RegistrationOptions(affine="rigid", device="cpu")
    cache = RegistrationCache()
    for _ in range(2):  # the second time from the cache
        result = register_pair(a_fixed_image, a_fixed_image, "linear", options, cache=cache)
        assert result.report.warnings[0] == "It was turned."
