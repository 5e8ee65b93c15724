"""Masks: what lies outside them changes nothing, on whatever grid they are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.few_steps import effort_of
from support.volumes import CENTRE, GEOMETRIES, a_blob_image, a_geometry, blob_values, smooth_displacement, transformed
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import NetworkSpace, RegistrationOptions
from VoxelMorphLib.core.errors import GeometryError, ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.registration.effort import Level
from VoxelMorphLib.registration.initialisation import affine_start
from VoxelMorphLib.registration.masks import fitted_mask, hide_outside, mask_through
from VoxelMorphLib.registration.network_space import encode, encode_mask
from VoxelMorphLib.registration.optimise import VelocityOptimiser
from VoxelMorphLib.registration.register import register_pair

GRID = a_geometry("RAS", (32, 28, 24), 1.2)
#: More time than it needs: a busy machine shall find the same.
OPTIONS = RegistrationOptions(affine="none", budget_s=60, device="cpu")
#: mm from `CENTRE`, to the inside of the ball that the masks mark.
RADIUS = 12.0


def distance(geometry: Geometry, centre: np.ndarray = CENTRE) -> np.ndarray:
    return np.linalg.norm(geometry.points() - centre, axis=-1)


def a_ball(geometry: Geometry, radius: float = RADIUS, centre: np.ndarray = CENTRE, label: int = 7) -> LabelMap:
    return LabelMap((distance(geometry, centre) < radius).astype(np.int16) * label, geometry, "ball")


def with_artefact(image: Image, centre: tuple[float, float, float], radius: float = 5.0) -> Image:
    """A structured bright ball, twenty times as bright as the anatomy, at an offset from `CENTRE`."""
    away = distance(image.geometry, CENTRE + centre)
    spoiled = np.where(away < radius, 4000 * (1 + np.cos(away)), image.array).astype(np.float32)
    return image.with_array(spoiled)


@pytest.fixture(scope="module")
def a_spoiled_pair() -> tuple[Image, Image, DisplacementField]:
    """Fixed and moving image with a metal clip near the rim, at different places, and the true fixed -> moving."""
    truth = DisplacementField(smooth_displacement(GRID.points(), 2.0), GRID)
    moving = a_blob_image(GRID)
    fixed = truth.resample(moving, GRID)
    return with_artefact(fixed, (18, 0, 0)), with_artefact(moving, (16, 8, 5)), truth


def error_mm(forward, truth, image: Image, radius: float = 8.0) -> float:
    points = image.geometry.points()[distance(image.geometry) < radius]
    return float(np.linalg.norm(forward.apply_to_points(points) - truth.apply_to_points(points), axis=1).mean())


@pytest.mark.slow
def test_an_artefact_spoils_the_result_only_without_masks(a_spoiled_pair) -> None:
    fixed, moving, truth = a_spoiled_pair
    options = replace(OPTIONS, similarity="mse")  # what an automatic choice compares is not led astray
    plain = register_pair(fixed, moving, options=options)
    masks = {"fixed_mask": a_ball(GRID), "moving_mask": a_ball(GRID)}
    masked = register_pair(fixed, moving, options=options, **masks)
    automatic = register_pair(fixed, moving, options=OPTIONS, **masks)
    assert error_mm(automatic.forward, truth, fixed) < 0.6
    assert error_mm(plain.forward, truth, fixed) > 2 * error_mm(masked.forward, truth, fixed)
    assert masked.moved.array.max() > 2000  # the whole moving volume is warped


@pytest.mark.slow
@pytest.mark.parametrize("name", ["left-handed oblique", "LPS"])
def test_masks_may_lie_on_other_grids(a_spoiled_pair, name: str) -> None:
    fixed, moving, truth = a_spoiled_pair
    masks = [a_ball(a_geometry(name, (60, 64, 30), 1.0)), a_ball(a_geometry("oblique", (30, 30, 30), 1.6))]
    result = register_pair(fixed, moving, options=OPTIONS, fixed_mask=masks[0], moving_mask=masks[1])
    assert error_mm(result.forward, truth, fixed) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("only", ["fixed_mask", "moving_mask"])
def test_one_mask_is_enough_where_one_image_is_spoiled(a_spoiled_pair, only: str) -> None:
    fixed, moving, truth = a_spoiled_pair
    clean = {
        "fixed_mask": (fixed, a_blob_image(GRID)),
        "moving_mask": (truth.resample(a_blob_image(GRID), GRID), moving),
    }
    result = register_pair(*clean[only], options=OPTIONS, **{only: a_ball(GRID)})
    assert error_mm(result.forward, truth, fixed) < 0.7


def test_networks_see_what_they_would_see_of_stripped_images(a_spoiled_pair, tmp_path: Path) -> None:
    fixed, moving, _truth = a_spoiled_pair
    model = write_tiny_network(tmp_path / "tiny.safetensors")
    masks = [fitted_mask(a_ball(GRID, radius), fixed, "fixed") for radius in (12.0, 11.0)]
    masked = register_pair(fixed, moving, model, OPTIONS, fixed_mask=masks[0], moving_mask=masks[1])
    stripped = register_pair(hide_outside(fixed, masks[0]), hide_outside(moving, masks[1]), model, OPTIONS)
    plain = register_pair(fixed, moving, model, OPTIONS)
    np.testing.assert_array_equal(masked.forward.array, stripped.forward.array)
    assert not np.array_equal(masked.forward.array, plain.forward.array)


def test_the_report_names_the_masks(a_spoiled_pair, tmp_path: Path) -> None:
    fixed, moving, _truth = a_spoiled_pair
    model = write_tiny_network(tmp_path / "tiny.safetensors")
    mask = a_ball(GRID)
    share = 100 * (mask.array > 0).mean()
    for name, other in (("fixed_mask", "moving_mask"), ("moving_mask", "fixed_mask")):
        report = register_pair(fixed, moving, model, OPTIONS, **{name: mask}).report
        assert getattr(report, name) == f"ball, {share:.1f} % of the volume"
        assert getattr(report, other) == ""


@pytest.mark.slow
def test_what_lies_outside_the_masks_changes_nothing() -> None:
    truth = DisplacementField(smooth_displacement(GRID.points(), 1.5), GRID)
    moving = a_blob_image(GRID)
    fixed = truth.resample(moving, GRID)
    options = RegistrationOptions(affine="rigid", budget_s=60, device="cpu")
    mask = a_ball(GRID, 9.0)
    optimised = []
    for pair in ((fixed, moving), (with_artefact(fixed, (15, 0, 0)), with_artefact(moving, (-15, 4, 0)))):
        optimised.append(register_pair(*pair, options=options, fixed_mask=mask, moving_mask=mask))
    points = GRID.points()[distance(GRID) < 8]
    first, second = (result.forward.apply_to_points(points) for result in optimised)
    assert np.linalg.norm(first - second, axis=-1).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["centre", "rigid", "affine"])
def test_the_affine_start_ignores_an_implant_outside_the_moving_mask(kind: str) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (5.0, -4.0, 3.0)
    truth = AffineTransform(shift)
    fixed = a_blob_image(a_geometry("RAS", (30, 26, 28), 1.0))
    grid = transformed(a_geometry("RAS", (50, 50, 44), 1.0), shift).shifted((2, -1.5, 1), (50, 50, 44))
    points = grid.points()
    moving = Image(100 * blob_values(points - shift[:3, 3]), grid, "moving blobs")
    implant = with_artefact(moving, (-8, -6, 8), 9.0)
    mask = LabelMap((np.linalg.norm(points - CENTRE - (-8, -6, 8), axis=-1) > 10).astype(np.uint8), grid)
    inside = fixed.geometry.points()[fixed.array > 20]

    def error(found: AffineTransform) -> float:
        return float(np.linalg.norm(found.apply_to_points(inside) - truth.apply_to_points(inside), axis=1).mean())

    masked, plain = (affine_start(fixed, implant, kind, moving_mask=m).transform for m in (mask, None))
    assert error(masked) < (4 if kind == "centre" else 1)
    assert error(masked) < 0.5 * error(plain)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_mask_lands_on_the_grid_of_its_volume(name: str) -> None:
    image = a_blob_image(a_geometry(name))
    same, other = (fitted_mask(a_ball(grid, 8.0), image, "fixed") for grid in (image.geometry, GRID))
    expected = distance(image.geometry) < 8
    np.testing.assert_array_equal(same.array, expected)
    assert other.geometry.matches(image.geometry) and set(np.unique(other.array)) == {0, 1}
    rim = np.abs(distance(image.geometry) - 8) < 1.5
    np.testing.assert_array_equal(other.array[~rim], expected[~rim])


def test_no_mask_is_no_mask() -> None:
    image = a_blob_image(GRID)
    assert fitted_mask(None, image, "fixed") is None
    assert hide_outside(image, None) is image


def test_hidden_voxels_become_the_minimum_and_inputs_stay() -> None:
    image, mask = a_blob_image(GRID, dtype="int16"), a_ball(GRID)
    before, marked = image.array.copy(), mask.array.copy()
    hidden = hide_outside(image, fitted_mask(mask, image, "fixed"))
    inside = marked > 0
    np.testing.assert_array_equal(hidden.array[inside], before[inside])
    assert (hidden.array[~inside] == before.min()).all() and hidden.array.dtype == before.dtype
    np.testing.assert_array_equal(image.array, before)
    np.testing.assert_array_equal(mask.array, marked)


def test_a_small_mask_keeps_the_contrast_inside() -> None:
    image, mask = with_artefact(a_blob_image(GRID), (15, 0, 0)), a_ball(GRID, 4.0)
    fitted = fitted_mask(mask, image, "fixed")
    tensor = encode(image, GRID, NetworkSpace(intensity="percentile"), mask=fitted)[0, 0].numpy()
    inside = mask.array > 0
    assert np.corrcoef(tensor[inside], image.array[inside])[0, 1] > 0.99
    assert np.ptp(tensor[inside]) > 0.99 and (tensor[~inside] < 1e-5).all()


def test_a_mask_is_encoded_through_the_start() -> None:
    shift = np.eye(4)
    shift[:3, 3] = (2.4, 0, -1.2)
    mask = fitted_mask(a_ball(GRID, 6.0), a_blob_image(GRID), "moving")
    encoded = encode_mask(mask, GRID, AffineTransform(shift))[0, 0].numpy()
    np.testing.assert_array_equal(encoded, distance(GRID, CENTRE - shift[:3, 3]) < 6)
    through = mask_through(mask, a_blob_image(GRID), AffineTransform(shift))
    np.testing.assert_array_equal(through.array, encoded)


def test_the_optimiser_looks_only_inside_its_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    image = encode(a_blob_image(GRID), GRID, NetworkSpace(intensity="percentile"))
    mask = torch.zeros_like(image)
    mask[..., :14, :, :] = 1
    spoiled = torch.where(mask > 0, image, torch.rand(image.shape, generator=generator))
    optimiser = VelocityOptimiser(effort=effort_of(Level(1, 10)))
    plain, masked = (optimiser.fields(image, spoiled, fixed_mask=m).displacement.norm(dim=1) for m in (None, mask))
    assert masked[0, :8].mean() < 0.05
    assert masked[0, 20:].mean() < 0.3 * plain[0, 20:].mean()


def test_a_mask_smaller_than_a_reduced_voxel_is_not_lost() -> None:
    image = encode(a_blob_image(GRID), GRID, NetworkSpace(intensity="percentile"))
    mask = torch.zeros_like(image)
    mask[..., 15:18, 13:16, 12:15] = 1
    pair = VelocityOptimiser(effort=effort_of(Level(4, 5), Level(1, 5))).fields(
        image.roll(1, 2), image, fixed_mask=mask, moving_mask=mask
    )
    assert pair.displacement[0, :, 16, 14, 13].norm() > 0.02


def refused(error: type[Exception], message: str, **masks: LabelMap) -> None:
    with pytest.raises(error, match=message):
        register_pair(a_blob_image(GRID), a_blob_image(GRID), options=OPTIONS, **masks)


def test_unfit_masks_are_refused() -> None:
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, "nothing")
    refused(ImageError, "The fixed mask nothing is empty. Draw what shall", fixed_mask=empty)
    refused(ImageError, "The moving mask nothing is empty. Draw what shall", moving_mask=empty)
    far = np.eye(4)
    far[:3, 3] = 500
    elsewhere = LabelMap(np.ones(GRID.shape, np.uint8), transformed(GRID, far), "elsewhere")
    refused(GeometryError, "moving mask elsewhere .* covers no voxel of the moving volume", moving_mask=elsewhere)
    single = np.zeros(GRID.shape, np.uint8)
    single[3, 4, 5] = 1
    refused(ImageError, r"fixed volume blobs is constant inside its mask dot", fixed_mask=LabelMap(single, GRID, "dot"))


def test_a_moving_mask_that_an_initial_transform_takes_away_is_told() -> None:
    far = np.eye(4)
    far[:3, 3] = (18, 0, 0)
    corner = a_ball(GRID, 6.0, CENTRE - (14, 0, 0))
    initial = AffineTransform(far)
    image = a_blob_image(GRID)
    with pytest.raises(GeometryError, match="The mask ball holds none of the places that are compared"):
        register_pair(image, image, options=OPTIONS, initial=initial, moving_mask=corner)
    far[:3, 3] = (60, 0, 0)
    options = RegistrationOptions(affine="rigid", budget_s=1)
    with pytest.raises(GeometryError, match="The mask ball lies far from the fixed volume under the initial transform"):
        register_pair(image, image, options=options, initial=AffineTransform(far), moving_mask=corner)
