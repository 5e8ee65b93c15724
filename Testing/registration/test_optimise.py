"""Registration without weights: the loss falls, known warps come back, budget and cancelling are obeyed."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch
from support.few_steps import effort_of
from support.volumes import a_blob_image, a_geometry, smooth_displacement
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.core.transform import IDENTITY, DisplacementField
from VoxelMorphLib.registration.alignment import Alignment
from VoxelMorphLib.registration.effort import EFFORTS, Level, optimiser_space
from VoxelMorphLib.registration.network_space import decode, encode
from VoxelMorphLib.registration.optimise import VelocityOptimiser

GRID = a_geometry("RAS", (32, 28, 24), 1.2)
SPACE = NetworkSpace(intensity="percentile")
SHORT = effort_of(Level(2, 12), Level(1, 12))


@pytest.fixture(scope="module")
def a_warped_pair() -> tuple[torch.Tensor, torch.Tensor, DisplacementField]:
    """(moving, fixed, truth): fixed(x) = moving(x + u(x)) with slow waves of up to 2 mm."""
    truth = DisplacementField(smooth_displacement(GRID.points(), 2.0), GRID)
    moving = a_blob_image(GRID)
    fixed = truth.resample(moving, GRID)
    return encode(moving, GRID, SPACE), encode(fixed, GRID, SPACE), truth


@pytest.mark.slow
def test_a_known_warp_comes_back_where_there_is_something_to_see(a_warped_pair) -> None:
    moving, fixed, truth = a_warped_pair
    optimiser = VelocityOptimiser(effort=effort_of(Level(2, 40), Level(1, 40)))
    found = decode(optimiser.fields(moving, fixed).displacement, GRID)
    seen = fixed[0, 0].numpy() > 0.3
    error = np.linalg.norm(found.array - truth.array, axis=-1)[seen].mean()
    before = np.linalg.norm(truth.array, axis=-1)[seen].mean()
    assert error < 0.35 * before


def test_the_loss_falls_at_every_level(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    losses: dict[str, list[float]] = {}

    def listen(_fraction: float, text: str) -> None:
        level, loss = re.match(r"Optimising at (\S+) resolution, loss (\S+)", text).groups()
        losses.setdefault(level, []).append(float(loss))

    VelocityOptimiser(effort=SHORT).fields(moving, fixed, listen)
    assert set(losses) == {"1/2", "1/1"}
    assert losses["1/2"][-1] < losses["1/2"][0] - 0.02
    assert losses["1/1"][-1] < losses["1/1"][0]


def test_the_two_directions_cancel(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    pair = VelocityOptimiser(effort=SHORT).fields(moving, fixed)
    round_trip = pair.inverse + warp(pair.displacement, pair.inverse)
    assert round_trip[..., 3:-3, 3:-3, 3:-3].norm(dim=1).max() < 0.1


def test_equal_images_stay_where_they_are() -> None:
    image = encode(a_blob_image(GRID), GRID, SPACE)
    pair = VelocityOptimiser(effort=SHORT).fields(image, image)
    assert pair.displacement.norm(dim=1).mean() < 0.05


@pytest.mark.parametrize("name", ["ncc", "mse"])
def test_the_similarity_that_was_used_is_kept(a_warped_pair, name) -> None:
    moving, fixed, _ = a_warped_pair
    optimiser = VelocityOptimiser(similarity=name, effort=effort_of(Level(4, 1)))
    assert optimiser.chosen == ""
    optimiser.fields(moving, fixed)
    assert optimiser.chosen == name


def test_nothing_was_maximised_where_nothing_is_optimised() -> None:
    assert Alignment(IDENTITY, IDENTITY).similarity == "auto"


def test_inverted_contrast_is_no_obstacle(a_warped_pair) -> None:
    moving, fixed, truth = a_warped_pair
    found = decode(VelocityOptimiser(effort=SHORT).fields(1 - moving, fixed).displacement, GRID)
    seen = fixed[0, 0].numpy() > 0.3
    assert np.corrcoef(found.array[seen].ravel(), truth.array[seen].ravel())[0, 1] > 0.8


@pytest.mark.slow
def test_the_same_pair_gives_the_same_field(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    first, second = (VelocityOptimiser(effort=SHORT).fields(moving, fixed).displacement for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_the_budget_ends_the_search(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    began = time.monotonic()
    VelocityOptimiser(budget_s=1.0, effort=effort_of(Level(1, 100_000))).fields(moving, fixed)
    assert time.monotonic() - began < 10  # the budget, one step and the final integration, on a busy machine


def test_cancelling_is_passed_on(a_warped_pair) -> None:
    def cancel(_fraction: float, _text: str) -> None:
        raise Cancelled("stopped")

    moving, fixed, _truth = a_warped_pair
    with pytest.raises(Cancelled, match="stopped"):
        VelocityOptimiser().fields(moving, fixed, cancel)


def test_large_images_are_optimised_on_a_grid_of_bounded_size() -> None:
    head = a_geometry("RAS", (200, 220, 200), 1.0)
    full = Image(np.random.default_rng(0).random(head.shape, np.float32), head)
    size = optimiser_space(SPACE, full, full, EFFORTS["balanced"]).voxel_size
    assert abs(np.prod(head.with_spacing(size).shape) / EFFORTS["balanced"].voxels - 1) < 0.1
    part = np.zeros(head.shape, np.float32)
    part[60:140, 60:140, 60:140] = full.array[60:140, 60:140, 60:140]
    assert optimiser_space(SPACE, Image(part, head), full, EFFORTS["balanced"]).voxel_size == pytest.approx(1.0)
    small = a_blob_image(a_geometry("anisotropic", (32, 28, 24), 1.0))
    assert optimiser_space(SPACE, small, small, EFFORTS["fast"]).voxel_size == pytest.approx(
        small.geometry.spacing.min()
    )


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["ncc", "mind", "mse", "mi"])
def test_every_similarity_finds_the_warp_and_swapping_gives_the_inverse(a_warped_pair, similarity) -> None:
    moving, fixed, truth = a_warped_pair
    optimiser = VelocityOptimiser(similarity=similarity, effort=effort_of(Level(2, 10), Level(1, 10)))
    there, back = optimiser.fields(moving, fixed), optimiser.fields(fixed, moving)
    seen = fixed[0, 0].numpy() > 0.3
    found = decode(there.displacement, GRID).array
    error, before = (np.linalg.norm(e, axis=-1)[seen].mean() for e in (found - truth.array, truth.array))
    assert error < 0.6 * before
    assert (there.inverse - back.displacement).norm(dim=1).mean() < 0.3


def test_a_start_is_gone_on_from(a_warped_pair) -> None:
    moving, fixed, truth = a_warped_pair
    voxels = torch.from_numpy(np.moveaxis(truth.array @ np.linalg.inv(GRID.affine[:3, :3]).T, -1, 0)).float()[None]
    kept = VelocityOptimiser(effort=effort_of(Level(1, 1)), smoothness=0.0).fields(moving, fixed, start=voxels)
    assert (kept.displacement - voxels).norm(dim=1).mean() < 0.25 * voxels.norm(dim=1).mean()


def test_twice_the_smoothness_bends_less(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    strains = []
    for smoothness in (0.5, 5.0):
        field = VelocityOptimiser(smoothness=smoothness, effort=SHORT).fields(moving, fixed).displacement
        strains.append(sum(field.diff(dim=axis).square().mean() for axis in (2, 3, 4)))
    assert strains[1] < 0.7 * strains[0]


def test_fast_leaves_out_what_costs_most() -> None:
    optimiser = VelocityOptimiser(effort="fast")
    head, crop = torch.empty(1, 1, 160, 192, 140, device="meta"), torch.empty(1, 1, 48, 64, 48, device="meta")
    assert [level.reduction for level in optimiser._affordable(head, refining=False)] == [4, 2]
    assert [level.reduction for level in optimiser._affordable(crop, refining=False)] == [4, 2, 1]


def test_inputs_are_left_as_they_were(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    copies = moving.clone(), fixed.clone()
    VelocityOptimiser(effort=effort_of(Level(1, 2))).fields(moving, fixed)
    assert torch.equal(moving, copies[0])
    assert torch.equal(fixed, copies[1])


def test_thin_images_are_not_reduced_to_nothing() -> None:
    geometry = a_geometry("RAS", (24, 20, 5), 1.5)
    array = encode(Image(np.random.default_rng(0).random(geometry.shape), geometry), geometry, SPACE)
    pair = VelocityOptimiser(effort=effort_of(Level(4, 2), Level(1, 2))).fields(array, array.flip(2))
    assert torch.isfinite(pair.displacement).all()
