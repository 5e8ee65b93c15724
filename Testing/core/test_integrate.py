"""Integration: constant flows, inverses, the limit of many steps, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from VoxelMorphLib.core.compose import compose
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.integrate import integrate_velocity
from VoxelMorphLib.core.jacobian import jacobian_determinant
from VoxelMorphLib.core.smoothing import gaussian
from VoxelMorphLib.core.spatial import identity_grid

SHAPES = [(40,), (24, 20), (16, 18, 14)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d", "3d"])


def a_smooth_velocity(shape, size=2.0, seed=0) -> torch.Tensor:
    """Smooth noise with the largest component `size` voxels, zero near the border."""
    noise = torch.randn(1, len(shape), *shape, generator=torch.Generator().manual_seed(seed))
    smooth = gaussian(noise, 4.0)
    for axis, n in enumerate(shape, start=2):
        window = torch.sin(torch.linspace(0, math.pi, n)) ** 2
        smooth = smooth * window.view(-1, *[1] * (len(shape) + 1 - axis))
    return size * smooth / smooth.abs().max()


@every_shape
@pytest.mark.parametrize(("method", "steps"), [("scaling-squaring", 7), ("quadrature", 5)])
def test_a_constant_velocity_is_its_own_displacement(shape, method, steps):
    velocity = torch.full((1, len(shape), *shape), 1.7)
    torch.testing.assert_close(integrate_velocity(velocity, steps, method), velocity)


@every_shape
def test_forward_and_backward_flow_undo_each_other(shape):
    velocity = a_smooth_velocity(shape, size=1.2)
    both = compose([integrate_velocity(velocity), integrate_velocity(-velocity)])
    assert both.abs().mean() < 0.01
    assert both.abs().max() < 0.1


def test_flows_of_half_the_time_add_up():
    velocity = a_smooth_velocity((24, 20))
    half = integrate_velocity(velocity / 2)
    torch.testing.assert_close(compose([half, half]), integrate_velocity(velocity), atol=0.02, rtol=0)


def test_a_linear_velocity_grows_exponentially():
    shape = (41,)
    velocity = -0.8 * (identity_grid(shape) - 20)
    expected = (math.exp(-0.8) - 1) * (identity_grid(shape) - 20)
    torch.testing.assert_close(integrate_velocity(velocity, 10), expected, atol=0.02, rtol=0)


def test_many_quadrature_steps_approach_scaling_and_squaring():
    velocity = a_smooth_velocity((24, 20))
    wanted = integrate_velocity(velocity, 8)
    coarse, fine = (integrate_velocity(velocity, n, "quadrature") for n in (4, 64))
    assert (fine - wanted).abs().max() < 0.05 < (coarse - wanted).abs().max()


def test_the_flow_does_not_fold_where_the_velocity_alone_would():
    velocity = a_smooth_velocity((24, 20), size=9.0)
    assert jacobian_determinant(velocity).min() < 0
    assert jacobian_determinant(integrate_velocity(velocity)).min() > 0


def test_no_steps_return_the_velocity_and_leave_it_alone():
    velocity = a_smooth_velocity((24, 20))
    before = velocity.clone()
    displacement = integrate_velocity(velocity, 0)
    assert torch.equal(displacement, before)
    displacement += 1
    assert torch.equal(velocity, before)


def test_zero_padding_stops_the_flow_outside():
    velocity = torch.full((1, 1, 20), 4.0)
    inside = integrate_velocity(velocity, padding="zeros")
    assert inside[0, 0, -1] < 1 < 3.9 < inside[0, 0, 0]


def test_gradients_agree_with_finite_differences():
    noise = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    velocity = noise.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: integrate_velocity(v, 3), (velocity,), eps=1e-7, atol=1e-5)


def test_half_precision_is_integrated_in_float32():
    velocity = a_smooth_velocity((24, 20)).half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        displacement = integrate_velocity(velocity)
    assert displacement.dtype == torch.float32
    assert torch.equal(displacement, integrate_velocity(velocity.float()))


@pytest.mark.parametrize(("method", "steps"), [("scaling-squaring", -1), ("quadrature", 0), ("rk4", 7)])
def test_impossible_methods_are_refused(method, steps):
    with pytest.raises(ConfigError, match=f"{method}.*{steps} steps; choose scaling-squaring"):
        integrate_velocity(torch.zeros(1, 1, 4), steps, method)
