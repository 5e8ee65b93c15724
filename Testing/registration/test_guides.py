"""Landmarks and labels that pull: they decide what intensities leave open, and nothing changes without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.few_steps import effort_of
from support.volumes import a_geometry
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.errors import ImageError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.spatial import warp, warp_points
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform
from VoxelMorphLib.registration.effort import Level
from VoxelMorphLib.registration.guides import Guidance, Guides, common_labels
from VoxelMorphLib.registration.optimise import VelocityOptimiser
from VoxelMorphLib.registration.register import register_pair

GRID = Geometry((32, 28, 24), np.eye(4))
X, Y, Z = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
#: Period of the stripes, and how far they were shifted: more than half of it.
PERIOD, SHIFT = 8, 5
OWN = torch.tensor([[8.0, 10, 8], [16, 16, 12], [12, 14, 14], [20, 12, 10]])
OTHER = OWN + torch.tensor([float(SHIFT), 0, 0])


def stripes(shift: float) -> torch.Tensor:
    waves = np.cos(2 * np.pi * (X - shift) / PERIOD)
    values = 0.5 + 0.5 * waves * np.exp(-((Y - 13.5) ** 2 + (Z - 11.5) ** 2) / 80)
    return torch.tensor(values, dtype=torch.float32)[None, None]


def ball(centre: tuple[int, int, int], radius: int, label: int = 1) -> LabelMap:
    inside = sum((axis - c) ** 2 for axis, c in zip((X, Y, Z), centre)) < radius**2
    return LabelMap((label * inside).astype(np.int16), GRID, f"ball of {radius}")


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def distance(points: torch.Tensor, goals: torch.Tensor, field: torch.Tensor) -> float:
    return float((warp_points(points[None], field)[0] - goals).norm(dim=1).mean())


@pytest.mark.parametrize("similarity", ["ncc", "mind", "mse"])
def test_landmarks_decide_what_repeats(similarity) -> None:
    """The next stripe is nearer than the right one, so that images alone go the wrong way."""
    optimiser = VelocityOptimiser(similarity=similarity)
    alone = optimiser.fields(stripes(SHIFT), stripes(0))
    guided = optimiser.fields(stripes(SHIFT), stripes(0), guides=Guides((OWN, OTHER), None))
    before = distance(OWN, OTHER, torch.zeros_like(alone.displacement))
    assert distance(OWN, OTHER, alone.displacement) > 0.5 * before
    assert distance(OWN, OTHER, guided.displacement) < 0.25 * before
    assert distance(OTHER, OWN, guided.inverse) < 0.25 * before
    assert jacobian_determinant(guided.displacement).min() > 0


@pytest.mark.parametrize("similarity", ["mind", "mse"])
def test_swapping_the_images_gives_the_inverse(similarity) -> None:
    optimiser = VelocityOptimiser(similarity=similarity)
    there = optimiser.fields(stripes(SHIFT), stripes(0), guides=Guides((OWN, OTHER), None))
    back = optimiser.fields(stripes(0), stripes(SHIFT), guides=Guides((OTHER, OWN), None))
    assert (there.inverse - back.displacement).norm(dim=1).mean() < 0.05


def test_the_weight_decides_how_near_they_come() -> None:
    errors = []
    for weight in (0.0, 0.3, 10.0):
        guides = Guides((OWN, OTHER), None, weight)
        field = VelocityOptimiser(similarity="ncc").fields(stripes(SHIFT), stripes(0), guides=guides).displacement
        errors.append(distance(OWN, OTHER, field))
    assert errors[0] > errors[1] > errors[2]


def test_labels_pull_where_the_images_show_nothing() -> None:
    noise = 0.5 + 0.02 * torch.rand(1, 1, *GRID.shape, generator=torch.Generator().manual_seed(0))
    fixed, moving = ball((16, 14, 12), 6, 3), ball((18, 14, 12), 7, 3)
    guides = Guidance(None, (fixed, moving)).on_grid(GRID, IDENTITY)
    field = VelocityOptimiser(similarity="mse").fields(noise, noise, guides=guides).displacement
    moved = warp(torch.tensor(moving.array[None, None]).float(), field, "nearest")[0, 0].numpy() > 0
    assert dice(moved, fixed.array > 0) > dice(moving.array > 0, fixed.array > 0) + 0.15
    assert jacobian_determinant(field).min() > 0


def test_many_labels_share_channels_and_still_differ() -> None:
    count = 20
    numbers = np.minimum(X * count // GRID.shape[0] + 1, count).astype(np.int16)
    labels = LabelMap(numbers, GRID, "slabs")
    channels = Guidance(None, (labels, labels)).on_grid(GRID, IDENTITY).labels[0]
    middles = channels[0, :, :, 7, 6].T
    middles = middles / middles.norm(dim=1, keepdim=True)
    assert channels.shape[1] < count
    assert (middles[:-2] * middles[2:]).sum(dim=1).max() < 0.95


def test_landmarks_are_taken_through_the_start_onto_the_grid() -> None:
    geometry, start = a_geometry("oblique"), AffineTransform(np.diag([1.1, 0.9, 1.0, 1.0]))
    voxels = np.array([[2.0, 3, 4], [6, 5, 3]])
    places = geometry.voxel_to_world(voxels)
    guides = Guidance((places, start.apply_to_points(places))).on_grid(geometry, start)
    for points in guides.points:
        np.testing.assert_allclose(points.numpy(), voxels, atol=1e-4)


def test_the_slope_of_the_energy_is_right() -> None:
    """Against differences; the velocity goes through the same interpolation."""
    from VoxelMorphLib.registration.velocity_nodes import VelocityNodes

    nodes = VelocityNodes(GRID.shape, 6.0)
    labels = Guidance(None, (ball((16, 14, 12), 6), ball((18, 14, 12), 7))).on_grid(GRID, IDENTITY).labels
    guide = Guides((OWN, OTHER), labels).towards(nodes, (2, 2, 2), 0.3, back=False)
    generator = torch.Generator().manual_seed(1)
    field, step = (torch.randn(1, 3, *nodes.shape, generator=generator) for _ in range(2))
    field.requires_grad_(True)
    (slope,) = torch.autograd.grad(guide.energy(field), field)
    with torch.no_grad():
        ahead, behind = (float(guide.energy(field + h * step)) for h in (0.01, -0.01))
    assert (ahead - behind) / 0.02 == pytest.approx(float((slope * step).sum()), rel=0.02)


def test_labels_without_a_common_number_are_refused() -> None:
    with pytest.raises(ImageError, match="no label in common"):
        common_labels(ball((16, 14, 12), 6, 3), ball((16, 14, 12), 6, 4))


def test_labels_far_from_what_is_compared_are_refused() -> None:
    far = AffineTransform(np.array([[1.0, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    labels = ball((16, 14, 12), 6), ball((16, 14, 12), 6)
    with pytest.raises(ImageError, match="none of the common labels where the images are compared"):
        Guidance(None, labels).on_grid(GRID, far)


def test_guides_without_weight_change_nothing() -> None:
    labels = Guidance(None, (ball((16, 14, 12), 6), ball((18, 14, 12), 7))).on_grid(GRID, IDENTITY).labels
    optimiser = VelocityOptimiser(similarity="ncc", effort=effort_of(Level(2, 4), Level(1, 4)))
    plain = optimiser.fields(stripes(2), stripes(0))
    idle = optimiser.fields(stripes(2), stripes(0), guides=Guides((OWN, OTHER), labels, 0.0, 0.0))
    assert torch.equal(plain.displacement, idle.displacement)
    assert torch.equal(plain.inverse, idle.inverse)


def test_the_time_limit_is_told() -> None:
    optimiser = VelocityOptimiser(budget_s=0.0, effort=effort_of(Level(2, 5), Level(1, 5)))
    fractions = []
    optimiser.fields(stripes(2), stripes(0), lambda fraction, _text: fractions.append(fraction))
    assert optimiser.out_of_time and len(fractions) == 1
    optimiser.budget_s = 60.0
    optimiser.fields(stripes(2), stripes(0))
    assert not optimiser.out_of_time


def test_landmarks_of_a_request_pull() -> None:
    """The whole way: images of a patient, landmarks in mm."""
    geometry = a_geometry("LPS", (32, 28, 24), 1.5)
    fixed, moving = (Image(stripes(shift)[0, 0].numpy(), geometry, "stripes") for shift in (0, SHIFT))
    own, other = (geometry.voxel_to_world(points.numpy()) for points in (OWN, OTHER))
    given = {"fixed_landmarks": own, "moving_landmarks": other}
    result = register_pair(fixed, moving, options=RegistrationOptions(affine="none"), **given)
    errors = np.linalg.norm(result.forward.apply_to_points(own) - other, axis=1)
    back = np.linalg.norm(result.inverse.apply_to_points(other) - own, axis=1)
    assert errors.mean() < 0.25 * 1.5 * SHIFT and back.mean() < 0.25 * 1.5 * SHIFT
    report = result.report
    assert report.folded_voxels == 0
    assert (report.landmarks, report.guides) == (4, "4 pairs of landmarks, weight 1")
    assert report.landmark_error_before_mm == pytest.approx(1.5 * SHIFT)
    assert report.landmark_error_after_mm == pytest.approx(errors.mean())


def test_landmarks_pull_in_the_refinement_of_a_network(tmp_path) -> None:
    network = write_tiny_network(tmp_path / "tiny.safetensors")
    fixed, moving = (Image(stripes(shift)[0, 0].numpy(), GRID, "stripes") for shift in (0, SHIFT))
    options = RegistrationOptions(affine="none", refine="fast", landmark_weight=3)
    marked = {"fixed_landmarks": OWN.numpy(), "moving_landmarks": OTHER.numpy()}
    report = register_pair(fixed, moving, network, options, **marked).report
    assert report.landmark_error_after_mm < 0.5 * report.landmark_error_before_mm


def test_a_registration_says_that_its_time_was_up(monkeypatch) -> None:
    clock = iter(range(0, 1_000_000, 100))
    monkeypatch.setattr("VoxelMorphLib.registration.optimise.time.monotonic", lambda: next(clock))
    fixed, moving = (Image(stripes(shift)[0, 0].numpy(), GRID, "stripes") for shift in (0, 2))
    result = register_pair(fixed, moving, options=RegistrationOptions(affine="none", budget_s=60))
    assert any("stopped at its time limit of 60 s before it was done" in text for text in result.report.warnings)
    assert np.isfinite(result.moved.array).all()
