"""Random curves over the intensities of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from VoxelMorphLib.synth.curves import MOST_BENDS, through_a_curve
from VoxelMorphLib.synth.random_parts import Part

#: Intensities from 0 to 1, one after the other.
RAMP = torch.linspace(0, 1, 2001).view(1, 1, 2001, 1, 1)


def curve(seed: int, image: Tensor = RAMP) -> Tensor:
    return through_a_curve(image, Part(seed, torch.device("cpu")))


@pytest.mark.parametrize("seed", range(20))
def test_a_curve_has_a_few_straight_pieces_from_0_to_1(seed):
    values = curve(seed)
    assert values.shape == RAMP.shape and values.min() >= 0 and values.max() <= 1
    bends = values.flatten().diff().diff().abs() > 1e-5
    assert 0 < int((bends[1:] & ~bends[:-1]).sum()) <= MOST_BENDS  # a bend between two intensities is seen at both


def test_equal_intensities_stay_equal_wherever_they_are():
    image = torch.rand(1, 1, 8, 9, 10, generator=torch.Generator().manual_seed(0))
    places = (image.flatten()[None] - RAMP.flatten()[:, None]).abs().argmin(0)
    torch.testing.assert_close(curve(3, image).flatten(), curve(3).flatten()[places], atol=0.05, rtol=0)


def test_curves_rise_and_fall_and_half_of_them_leave_darkness_dark():
    drawn = torch.stack([curve(seed).flatten() for seed in range(400)]).numpy()
    slopes = np.diff(drawn, axis=1)
    assert 0.4 < (slopes > 0).mean() < 0.65 and 0.35 < (slopes < 0).mean() < 0.6
    both_ways = (slopes > 1e-6).any(1) & (slopes < -1e-6).any(1)
    assert both_ways.mean() > 0.7
    assert 0.42 < (drawn[:, 0] == 0).mean() < 0.58
    assert abs(drawn[:, -1].mean() - 0.5) < 0.05


def test_a_seed_decides():
    assert torch.equal(curve(1), curve(1)) and not torch.equal(curve(1), curve(2))
