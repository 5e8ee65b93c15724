"""Inversion: known inverses, residuals, strong expansion, folds."""

from __future__ import annotations

import math

import pytest
import torch
from VoxelMorphLib.core.compose import compose
from VoxelMorphLib.core.integrate import integrate_velocity
from VoxelMorphLib.core.invert import invert_displacement
from VoxelMorphLib.core.spatial import identity_grid


def waves(shape, height: float) -> torch.Tensor:
    """Each component a sine along its own axis, zero at the border."""
    components = [
        torch.sin(torch.linspace(0, 2 * math.pi, n)).view(-1, *[1] * (len(shape) - 1 - axis)).expand(shape)
        for axis, n in enumerate(shape)
    ]
    return height * torch.stack(components)[None]


@pytest.mark.parametrize("shape", [(40,), (24, 20), (16, 18, 14)], ids=["1d", "2d", "3d"])
def test_the_displacement_after_its_inverse_moves_nothing(shape):
    field = waves(shape, 1.5)
    inverse, residual = invert_displacement(field, tolerance=1e-3)
    left = compose([field, inverse]).norm(dim=1)
    assert residual.shape == (1,) and residual.item() <= 1e-3
    torch.testing.assert_close(left.max(), residual[0], atol=1e-6, rtol=0)


def test_the_inverse_of_a_flow_is_the_flow_backwards():
    velocity = waves((32, 32), 2.0)
    inverse, _ = invert_displacement(integrate_velocity(velocity), tolerance=1e-4)
    assert (inverse - integrate_velocity(-velocity)).abs().max() < 0.05


def test_a_constant_shift_is_turned_round_at_once():
    inverse, residual = invert_displacement(torch.full((1, 3, 5, 6, 7), 2.5), iterations=0)
    assert inverse.unique().tolist() == [-2.5] and residual.item() < 1e-6


def test_an_expansion_beyond_a_factor_of_two_still_converges():
    field = 2.5 * (identity_grid((41,)) - 20)
    inverse, residual = invert_displacement(field, iterations=60, tolerance=1e-3)
    assert residual.item() <= 1e-3
    expected = (1 / 3.5 - 1) * (identity_grid((41,)) - 20)
    torch.testing.assert_close(inverse, expected, atol=0.01, rtol=0)


def test_a_fold_is_reported_by_its_residual():
    _, residual = invert_displacement(torch.cat([waves((24, 20), 1.0), waves((24, 20), 9.0)]))
    assert residual[0] <= 0.01 and residual[1] > 0.1


def test_more_iterations_leave_less():
    field = waves((24, 20), 2.0)
    residuals = [invert_displacement(field, iterations=n, tolerance=0)[1].item() for n in (1, 4, 16)]
    assert residuals[0] > residuals[1] > residuals[2]


def test_the_last_look_can_be_left_out():
    field = waves((24, 20), 2.0)
    checked, after = invert_displacement(field, iterations=3, tolerance=0)
    unchecked, before = invert_displacement(field, iterations=3, tolerance=0, check=False)
    assert torch.equal(checked, unchecked)
    assert torch.equal(before, invert_displacement(field, iterations=2, tolerance=0)[1]) and before > after


def test_the_displacement_is_unchanged():
    field = waves((24, 20), 2.0).requires_grad_()
    before = field.detach().clone()
    inverse, _ = invert_displacement(field)
    assert torch.equal(field.detach(), before) and not inverse.requires_grad


def test_a_good_start_needs_fewer_iterations():
    velocity = waves((32, 32), 2.0)
    field, start = integrate_velocity(velocity), integrate_velocity(-velocity)
    before = start.clone()
    _, from_scratch = invert_displacement(field, iterations=2, tolerance=0)
    _, from_start = invert_displacement(field, iterations=2, tolerance=0, start=start)
    assert from_start < 0.2 * from_scratch
    assert torch.equal(start, before)
