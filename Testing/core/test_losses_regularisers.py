"""Penalties on fields: values of known fields, gradients, batch means and precision."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.losses.by_name import REGULARISERS, make_loss
from VoxelMorphLib.core.losses.regularisers import (
    KL,
    Bending,
    Gradient,
    bending_energy,
    gradient_penalty,
    kl_loss,
    precision_penalty,
)


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


def test_the_bending_energy_of_an_affine_field_is_zero():
    assert bending_energy(a_linear_field((7, 5, 6), (1.0, -2.0, 0.5))).item() == pytest.approx(0, abs=1e-10)
    assert bending_energy(torch.randn(1, 2, 2, 2)).item() == 0


def test_the_bending_energy_of_a_quadratic_field_is_known():
    i, j = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    field = (1.5 * i**2 - 0.5 * j**2 + 2 * i * j).expand(1, 1, 8, 9)
    assert bending_energy(field).item() == pytest.approx(3**2 + 1**2 + 2 * 2**2)
    assert Bending(multiplier=2.0)(field).item() == pytest.approx(36)


@pytest.mark.parametrize("shape", [(6,), (5, 4), (4, 3, 5)])
def test_the_bending_energy_agrees_with_finite_differences(shape):
    assert torch.autograd.gradcheck(bending_energy, (a_field(shape, dtype=torch.float64).requires_grad_(),))


def test_the_divergence_of_a_standard_field_has_the_published_value():
    """Zero means and unit variances on 24^3 voxels, lambda 10: 3/2 times 10 times the mean number of neighbours."""
    assert kl_loss(torch.zeros(1, 6, 24, 24, 24), prior_lambda=10).item() == pytest.approx(86.25)
    assert kl_loss(torch.zeros(1, 6, 24, 24, 24), 10, "miccai2018").item() == pytest.approx(86.25 / 3)


def test_the_two_divergences_weigh_the_means_alike():
    mean = a_field((6, 5, 4))
    logvar = torch.zeros_like(mean)
    with_mean, without = torch.cat([mean, logvar], 1), torch.cat([0 * mean, logvar], 1)
    expected = 0.5 * 3 * 10 * precision_penalty(mean)
    for variant in ("current", "miccai2018"):
        difference = kl_loss(with_mean, 10, variant) - kl_loss(without, 10, variant)
        torch.testing.assert_close(difference, expected, atol=1e-4, rtol=1e-4)


def test_the_best_variance_is_one_over_lambda_and_the_neighbours():
    logvar = torch.full((1, 2, 3, 1), -torch.log(torch.tensor(10.0)).item()).requires_grad_()
    kl_loss(torch.cat([torch.zeros(1, 2, 3, 1), logvar], 1), prior_lambda=10).backward()
    assert logvar.grad[0, 0, :, 0].tolist() == pytest.approx([0, 1 / 6, 0], abs=1e-6)


@pytest.mark.parametrize("variant", ["current", "miccai2018"])
def test_the_divergence_agrees_with_finite_differences(variant):
    parameters = torch.randn(2, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: kl_loss(p, 3.0, variant), (parameters,))


def test_the_divergence_needs_means_and_variances():
    with pytest.raises(GeometryError, match=r"3 axes has 6 channels .* got 3"):
        kl_loss(torch.zeros(1, 3, 4, 4, 4))
    with pytest.raises(ConfigError, match="variant is '2019'"):
        kl_loss(torch.zeros(1, 4, 4, 4), 10, "2019")
    with pytest.raises(ConfigError, match="variant is '2019'"):
        KL(variant="2019")


@pytest.mark.parametrize("name", sorted(REGULARISERS))
def test_regularisers_are_batch_means_in_float32(name):
    loss = make_loss(name)
    field = torch.randn(3, 4 if name == "kl" else 2, 6, 7, generator=torch.Generator().manual_seed(0))
    singles = torch.stack([loss(item[None]) for item in field])
    torch.testing.assert_close(loss(field), singles.mean())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(field), loss(field.clone()))
        assert loss(field.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", sorted(REGULARISERS))
def test_a_field_of_zeros_has_finite_gradients(name):
    field = torch.zeros(1, 4 if name == "kl" else 2, 6, 7, requires_grad=True)
    make_loss(name)(field).backward()
    assert torch.isfinite(field.grad).all()
