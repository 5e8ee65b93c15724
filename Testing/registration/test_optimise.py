"""Registration without weights: the loss falls, known warps come back, budget and cancelling are obeyed."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch
from support.volumes import a_blob_image, a_geometry, smooth_displacement
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.core.transform import DisplacementField
from VoxelMorphLib.registration.network_space import decode, encode
from VoxelMorphLib.registration.optimise import (
    FINEST_VOXELS,
    Level,
    VelocityOptimiser,
    optimiser_space,
    optimiser_voxel_size,
)

GRID = a_geometry("RAS", (32, 28, 24), 1.2)
SPACE = NetworkSpace(intensity="percentile")
SHORT = (Level(2, 12), Level(1, 12))


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
    found = decode(VelocityOptimiser(levels=(Level(2, 40), Level(1, 40))).fields(moving, fixed).displacement, GRID)
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

    VelocityOptimiser(levels=SHORT).fields(moving, fixed, listen)
    assert set(losses) == {"1/2", "1/1"}
    assert losses["1/2"][-1] < losses["1/2"][0] - 0.02
    assert losses["1/1"][-1] < losses["1/1"][0]


def test_the_two_directions_cancel(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    pair = VelocityOptimiser(levels=SHORT).fields(moving, fixed)
    round_trip = pair.inverse + warp(pair.displacement, pair.inverse)
    assert round_trip[..., 3:-3, 3:-3, 3:-3].norm(dim=1).max() < 0.1


def test_equal_images_stay_where_they_are() -> None:
    image = encode(a_blob_image(GRID), GRID, SPACE)
    pair = VelocityOptimiser(levels=SHORT).fields(image, image)
    assert pair.displacement.norm(dim=1).mean() < 0.05


def test_inverted_contrast_is_no_obstacle(a_warped_pair) -> None:
    moving, fixed, truth = a_warped_pair
    found = decode(VelocityOptimiser(levels=SHORT).fields(1 - moving, fixed).displacement, GRID)
    seen = fixed[0, 0].numpy() > 0.3
    assert np.corrcoef(found.array[seen].ravel(), truth.array[seen].ravel())[0, 1] > 0.8


@pytest.mark.slow
def test_the_same_pair_gives_the_same_field(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    first, second = (VelocityOptimiser(levels=SHORT).fields(moving, fixed).displacement for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_the_budget_ends_the_search(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    began = time.monotonic()
    VelocityOptimiser(budget_s=1.0, levels=(Level(1, 100_000),)).fields(moving, fixed)
    assert time.monotonic() - began < 10  # the budget, one step and the final integration, on a busy machine


def test_cancelling_is_passed_on(a_warped_pair) -> None:
    def cancel(_fraction: float, _text: str) -> None:
        raise Cancelled("stopped")

    moving, fixed, _truth = a_warped_pair
    with pytest.raises(Cancelled, match="stopped"):
        VelocityOptimiser().fields(moving, fixed, cancel)


def test_large_images_are_optimised_on_a_grid_of_bounded_size() -> None:
    head = a_geometry("RAS", (160, 224, 192), 1.0)
    assert abs(np.prod(head.with_spacing(optimiser_voxel_size(head)).shape) / FINEST_VOXELS - 1) < 0.1
    small = a_geometry("anisotropic", (32, 28, 24), 1.0)
    assert optimiser_space(SPACE, small).voxel_size == pytest.approx(small.spacing.min())


def test_inputs_are_left_as_they_were(a_warped_pair) -> None:
    moving, fixed, _truth = a_warped_pair
    copies = moving.clone(), fixed.clone()
    VelocityOptimiser(levels=(Level(1, 2),)).fields(moving, fixed)
    assert torch.equal(moving, copies[0])
    assert torch.equal(fixed, copies[1])


def test_thin_images_are_not_reduced_to_nothing() -> None:
    geometry = a_geometry("RAS", (24, 20, 5), 1.5)
    array = encode(Image(np.random.default_rng(0).random(geometry.shape), geometry), geometry, SPACE)
    pair = VelocityOptimiser(levels=(Level(4, 2), Level(1, 2))).fields(array, array.flip(2))
    assert torch.isfinite(pair.displacement).all()
