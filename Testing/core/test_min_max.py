"""Intensities between 0 and 1."""

from __future__ import annotations

import torch
from VoxelMorphLib.core.min_max import min_max


def test_the_extremes_become_zero_and_one():
    tensor = torch.tensor([[[-2.0, 0.0, 6.0]], [[1.0, 2.0, 3.0]]])
    assert min_max(tensor).tolist() == [[[0.0, 0.25, 1.0]], [[0.375, 0.5, 0.625]]]
    assert min_max(tensor, dims=[2]).tolist() == [[[0.0, 0.25, 1.0]], [[0.0, 0.5, 1.0]]]


def test_a_constant_becomes_zero_and_the_input_stays():
    tensor = torch.full((1, 1, 4), 7, dtype=torch.int16)
    assert min_max(tensor).tolist() == [[[0.0] * 4]]
    assert tensor.unique().tolist() == [7]
