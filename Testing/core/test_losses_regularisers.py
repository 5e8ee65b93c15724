"""Penalties on fields: values of known fields, gradients, batch means and precision."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.losses.gradient import Gradient, gradient_penalty


def a_field(shape, seed=0, batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, len(shape), *shape, generator=generator, dtype=dtype)


def a_linear_field(shape, slopes):
    """Every component grows by `slopes[axis]` per voxel along each axis."""
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in shape), indexing="ij")
    return sum(slope * axis for slope, axis in zip(slopes, axes)).expand(1, len(shape), *shape)


def test_the_gradient_penalty_of_a_linear_field_is_known():
    field = a_linear_field((7, 5, 6), (1.0, -2.0, 0.5))
    assert gradient_penalty(field).item() == pytest.approx((1 + 4 + 0.25) / 3)
    assert gradient_penalty(field, "l1", multiplier=2).item() == pytest.approx(2 * 3.5 / 3)


def test_the_gradient_penalty_ignores_a_shift():
    field = a_field((6, 7))
    torch.testing.assert_close(gradient_penalty(field + 5), gradient_penalty(field), atol=1e-5, rtol=1e-5)
    assert gradient_penalty(torch.full((1, 2, 6, 7), 3.0)) == 0


@pytest.mark.parametrize("shape", [(8,), (5, 6), (4, 3, 5)])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_the_gradient_penalty_agrees_with_finite_differences(shape, penalty):
    field = a_field(shape, dtype=torch.float64).requires_grad_()
    weights = torch.rand(1, 1, *shape, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: gradient_penalty(f, penalty, 2, weights), (field,))


def test_the_gradient_penalty_is_the_mean_over_the_batch():
    field = a_field((6, 5), batch=3)
    items = gradient_penalty(field, reduction="item")
    torch.testing.assert_close(items[1], gradient_penalty(field[1:2]))
    torch.testing.assert_close(items.mean(), gradient_penalty(field))


def test_voxels_of_weight_zero_may_jump():
    field = torch.zeros(1, 1, 8)
    field[..., 4:] = 3
    weights = torch.ones(1, 1, 8)
    weights[..., 4] = 0
    assert gradient_penalty(field) > 0
    assert gradient_penalty(field, voxel_weights=weights) == 0


def test_an_axis_of_one_voxel_adds_nothing():
    field = torch.randn(1, 2, 6, 1)
    assert gradient_penalty(field).item() == pytest.approx(gradient_penalty(field[..., 0]).item() / 2)


def test_the_gradient_penalty_is_float32_under_autocast():
    field = a_field((6, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gradient_penalty(field), gradient_penalty(field.float()))
    assert gradient_penalty(field.bfloat16()).dtype == torch.float32


def test_unknown_penalties_are_refused():
    with pytest.raises(ConfigError, match="penalty is 'l3'"):
        gradient_penalty(a_field((4, 4)), "l3")
    with pytest.raises(ConfigError, match="penalty is 'l0'"):
        Gradient("l0")
    with pytest.raises(ConfigError, match="reduction is 'max'"):
        gradient_penalty(a_field((4, 4)), reduction="max")


def test_the_bound_gradient_penalty_is_the_function_with_its_options():
    field = a_field((6, 5))
    assert torch.equal(Gradient("l1", 2.0)(field), gradient_penalty(field, "l1", 2.0))
