"""ListedDirection: pulls about as the exact slope does, by the voxels that are listed and no others."""

from __future__ import annotations

import pytest
import torch
from support.few_steps import effort_of
from torch import Tensor
from VoxelMorphLib.core.resize import resize
from VoxelMorphLib.registration.direction import Direction
from VoxelMorphLib.registration.effort import Level
from VoxelMorphLib.registration.feature_pyramid import FeaturePyramid, ReducedPair
from VoxelMorphLib.registration.features import OF_FEATURES, around_contents
from VoxelMorphLib.registration.listed_direction import MOST, ListedDirection
from VoxelMorphLib.registration.optimise import VelocityOptimiser
from VoxelMorphLib.registration.velocity_nodes import VelocityNodes

SHAPE = (24, 20, 16)
NODES = VelocityNodes(SHAPE, 4.0)


def smooth(channels: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    coarse = torch.randn(1, channels, *(max(1, n // 4) for n in shape), generator=torch.Generator().manual_seed(seed))
    return resize(coarse, shape)


@pytest.fixture(scope="module")
def a_pair() -> FeaturePyramid:
    """Three channels, and a fifth as much of other ones in the moving image."""
    fixed = smooth(3, 0)
    return FeaturePyramid(fixed + 0.2 * smooth(3, 1), fixed, None, None, OF_FEATURES)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("reduction", [1, 2])
def test_the_energy_is_that_of_dense_images_and_the_pull_about_its_slope(a_pair, back, reduction):
    pair = a_pair.at(reduction)
    dense, listed = (kind(pair, NODES, OF_FEATURES, back) for kind in (Direction, ListedDirection))
    velocity = 0.5 * NODES.resampled(smooth(3, 2))
    (energy, slope), (other, pull) = dense.pull(velocity), listed.pull(velocity)
    assert other == pytest.approx(energy, rel=1e-4)
    assert torch.cosine_similarity(slope.flatten(), pull.flatten(), 0) > 0.8
    torch.testing.assert_close(listed.curvature, dense.curvature, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("back", [False, True])
def test_the_slope_is_exact_where_the_images_meet_at_rest(back):
    """There both images have the same slopes, and nothing lies on the way."""
    image = smooth(3, 0)
    near = image + 1e-3 * smooth(3, 1)
    pair = FeaturePyramid(near, image, None, None, OF_FEATURES).at(1)
    slope, pull = (kind(pair, NODES, OF_FEATURES, back).pull(NODES.zero())[1] for kind in (Direction, ListedDirection))
    assert torch.cosine_similarity(slope.flatten(), pull.flatten(), 0) > 0.9
    assert pull.norm() == pytest.approx(float(slope.norm()), rel=0.2)


@pytest.mark.parametrize("back", [False, True])
def test_only_listed_voxels_pull(a_pair, back):
    masks = torch.zeros(2, 1, 1, *SHAPE)
    masks[0, ..., :12, :, :], masks[1, ..., 12:, :, :] = 1, 1
    of_moving, of_fixed = masks
    pair = FeaturePyramid(a_pair.features[1], a_pair.features[0], of_moving, of_fixed, OF_FEATURES).at(1)
    way = ListedDirection(pair, NODES, OF_FEATURES, back)
    assert len(way.listed) == masks[0].sum() == masks[0].numel() / 2
    _energy, pull = way.pull(NODES.zero())
    here, there = (slice(0, 3), slice(4, None)) if back else (slice(4, None), slice(0, 3))
    assert pull[:, :, here].any() and not pull[:, :, there].any()


def test_a_mask_of_nothing_pulls_at_nothing(a_pair):
    empty = torch.zeros(1, 1, *SHAPE)
    pair = ReducedPair(list(a_pair.features), [empty, empty], (1, 1, 1), list(a_pair.features))
    energy, pull = ListedDirection(pair, NODES, OF_FEATURES, False).pull(NODES.zero())
    assert energy == 0 and not pull.any()


@pytest.mark.parametrize("back", [False, True])
def test_every_other_one_of_many_voxels_stands_for_two(back):
    shape = (60, 52, 44)
    nodes, fixed = VelocityNodes(shape, 4.0), smooth(2, 0, shape)
    pair = FeaturePyramid(fixed + 0.2 * smooth(2, 1, shape), fixed, None, None, OF_FEATURES).at(1)
    dense, listed = (kind(pair, nodes, OF_FEATURES, back) for kind in (Direction, ListedDirection))
    assert len(listed.listed) == fixed[0, 0].numel() / 2 > MOST / 2
    (energy, slope), (other, pull) = (way.pull(nodes.zero()) for way in (dense, listed))
    assert other == pytest.approx(energy, rel=0.01)
    for one, two in ((dense.curvature, listed.curvature), (slope, pull)):
        assert torch.cosine_similarity(one.flatten(), two.flatten(), 0) > 0.9
        assert two.norm() == pytest.approx(float(one.norm()), rel=0.1)


class Rising(ListedDirection):
    """Tells of an energy that rises by a thousandth at every look."""

    looks = 0

    def pull(self, velocity: Tensor) -> tuple[float, Tensor]:
        self.looks += 1
        return 1e6 * 1.001**self.looks, super().pull(velocity)[1]


@pytest.mark.parametrize(("levels", "moves"), [((2,), False), ((2, 1), True)])
def test_the_energy_may_rise_a_little_before_the_last_resolution(levels, moves):
    fixed = smooth(3, 0)
    steps = tuple(Level(each, 3) for each in levels)
    optimiser = VelocityOptimiser(similarity=OF_FEATURES, effort=effort_of(*steps), direction=Rising)
    found = optimiser.fields(fixed + 0.2 * smooth(3, 1), fixed)
    assert bool(found.displacement.any()) == moves


@pytest.mark.parametrize("background", [0.0, 1.0, 0.4])
def test_contents_rise_above_any_background(background):
    image = torch.full((1, 1, *SHAPE), background)
    image[..., 10:14, 8:12, 6:10] = 0.7
    found = around_contents(image)
    assert found.shape == image.shape and found[..., 8:16, 6:14, 4:12].all()
    assert found.sum() <= 12**3  # up to four voxels on every side


def test_everything_counts_where_an_image_shows_nothing():
    assert around_contents(torch.zeros(1, 1, *SHAPE)).all()


@pytest.mark.parametrize("shape", [(21, 18, 1), (1, 20, 18)])
def test_slices_are_pulled_within_their_plane(shape):
    nodes = VelocityNodes(shape, 4.0)
    image = smooth(2, 0, shape)
    pair = FeaturePyramid(image.roll(1, dims=3), image, None, None, OF_FEATURES).at(1)
    _energy, pull = ListedDirection(pair, nodes, OF_FEATURES, False).pull(nodes.zero())
    across = shape.index(1)
    assert not pull[:, across].any() and all(pull[:, axis].any() for axis in range(3) if axis != across)
