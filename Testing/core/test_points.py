"""Values at points and points with labels."""

from __future__ import annotations

import torch
from VoxelMorphLib.core.points import values_at, warp_surface
from VoxelMorphLib.core.spatial import identity_grid


def test_values_are_interpolated_at_points():
    ramp = identity_grid((6, 7, 8))
    points = torch.tensor([[[1.5, 2.25, 3.0], [4.0, 5.5, 6.75], [9.0, -3.0, 0.0]]])
    expected = torch.tensor([[[1.5, 2.25, 3.0], [4.0, 5.5, 6.75], [5.0, 0.0, 0.0]]])
    torch.testing.assert_close(values_at(ramp, points), expected)


def test_labels_stay_with_their_points():
    points = torch.tensor([[[1.0, 2.0, 7.0], [3.0, 3.0, 9.0]]])
    moved = warp_surface(points, torch.full((1, 2, 6, 6), 0.5), scale=2)
    assert moved.tolist() == [[[2.0, 3.0, 7.0], [4.0, 4.0, 9.0]]]


def test_gradients_reach_points_and_displacement():
    points = torch.tensor([[[1.3, 2.2, 7.0]]], dtype=torch.float64, requires_grad=True)
    field = torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(warp_surface, (points, field))
