"""Displacements: integration, composition, inversion and the Jacobian determinant."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.voxel_grid import identity_grid
from VoxelMorphLib.core.affine import affine_to_displacement, square
from VoxelMorphLib.core.displacement import compose, integrate_velocity, invert_displacement, jacobian_determinant
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.filters import gaussian
from VoxelMorphLib.core.spatial import warp

SHAPES = [(40,), (24, 20), (16, 18, 14)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d", "3d"])
SCALE_2 = torch.tensor([[[2.0, 0, 0], [0, 2, 0]]])
SHIFT_3 = torch.tensor([[[1.0, 0, 3], [0, 1, 3]]])
SMALL_SHAPES = [(9,), (7, 8), (5, 6, 7)]
every_small_shape = pytest.mark.parametrize("shape", SMALL_SHAPES, ids=["1d", "2d", "3d"])


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


def a_plane_field(shape=(12, 14), seed=0) -> torch.Tensor:
    coarse = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape, mode="bilinear", align_corners=True)


def test_the_leftmost_transform_is_applied_last_to_coordinates():
    assert compose([SCALE_2, SHIFT_3]).tolist() == [[[2, 0, 6], [0, 2, 6]]]
    assert compose([SHIFT_3, SCALE_2]).tolist() == [[[2, 0, 3], [0, 2, 3]]]


def test_matrices_of_either_form_give_a_matrix():
    torch.testing.assert_close(compose([square(SCALE_2), SHIFT_3]), compose([SCALE_2, SHIFT_3]))
    assert torch.equal(compose([square(SCALE_2)]), SCALE_2)


def test_displacements_add_where_the_inner_one_leads():
    outer, inner = a_plane_field(seed=1), a_plane_field(seed=2)
    torch.testing.assert_close(compose([outer, inner]), inner + warp(outer, inner))


@pytest.mark.parametrize("shift_center", [True, False])
def test_a_matrix_counts_like_its_displacement(shift_center):
    matrix, field = torch.tensor([[[1.02, 0.01, 0.6], [-0.03, 0.99, -0.4]]]), a_plane_field()
    dense = affine_to_displacement(matrix, field.shape[2:], shift_center)
    torch.testing.assert_close(compose([field, matrix], shift_center), compose([field, dense]))
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(compose([matrix, field], shift_center)[inside], compose([dense, field])[inside])


def test_images_move_first_by_the_leftmost_transform():
    ramp = identity_grid((12, 14))
    outer, inner = 0.3 * a_plane_field(seed=1), 0.3 * a_plane_field(seed=2)
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    once, twice = warp(ramp, compose([outer, inner])), warp(warp(ramp, outer), inner)
    torch.testing.assert_close(once[inside], twice[inside])


def test_a_shape_sets_the_grid_of_the_result():
    assert compose([a_plane_field(), SHIFT_3], shift_center=False, shape=(20, 9)).shape == (1, 2, 20, 9)


def test_nearest_takes_whole_displacements():
    outer, inner = torch.zeros(1, 2, 12, 14), torch.full((1, 2, 12, 14), 0.3)
    outer[:, :, 5] = 2
    assert compose([outer, inner], interpolation="nearest")[0, 0, 5, 5] == pytest.approx(2.3)
    assert compose([outer, inner])[0, 0, 5, 5] == pytest.approx(0.3 + 0.7 * 2)


def test_one_field_serves_a_batch():
    fields = torch.cat([a_plane_field(seed=1), a_plane_field(seed=2)])
    assert compose([SHIFT_3, fields]).shape == fields.shape
    torch.testing.assert_close(compose([a_plane_field(), fields])[1:], compose([a_plane_field(), fields[1:]]))


def test_gradients_of_the_composition_agree_with_finite_differences():
    matrix, field = SCALE_2.double().requires_grad_(), a_plane_field((4, 4)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, f: compose([f, m, f]), (matrix, field), eps=1e-7, atol=1e-5)


def test_autocast_does_not_reach_the_product():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = compose([SCALE_2 * 1.001, SHIFT_3])
    assert torch.equal(product, compose([SCALE_2 * 1.001, SHIFT_3]))


def test_nothing_to_compose_is_refused():
    with pytest.raises(GeometryError, match="at least one matrix or displacement"):
        compose([])


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


def a_field(shape) -> torch.Tensor:
    return torch.randn(2, len(shape), *shape, generator=torch.Generator().manual_seed(0))


@every_small_shape
def test_no_displacement_keeps_every_volume(shape):
    assert torch.equal(jacobian_determinant(torch.zeros(1, len(shape), *shape)), torch.ones(1, *shape))


@every_small_shape
def test_a_matrix_scales_every_voxel_by_its_determinant(shape):
    n = len(shape)
    noise = 0.3 * torch.randn(1, n, n + 1, generator=torch.Generator().manual_seed(1))
    matrix = torch.eye(n, n + 1) + noise
    determinant = torch.linalg.det(matrix[..., :n]).item()
    result = jacobian_determinant(affine_to_displacement(matrix, shape))
    torch.testing.assert_close(result, torch.full((1, *shape), determinant), atol=1e-5, rtol=0)


@every_small_shape
def test_the_differences_are_those_of_numpy(shape):
    field, n = a_field(shape), len(shape)
    mapped = (field + identity_grid(shape)).double().numpy()
    for item in range(2):
        rows = [np.gradient(mapped[item, component]) for component in range(n)]
        rows = [[row] if n == 1 else row for row in rows]
        expected = np.linalg.det(np.moveaxis(np.array(rows), (0, 1), (-2, -1)))
        np.testing.assert_allclose(jacobian_determinant(field)[item].numpy(), expected, atol=2e-5)


def test_a_fold_is_negative():
    field = torch.zeros(1, 3, 6, 6, 6)
    field[:, 0] = -2 * torch.arange(6.0).view(6, 1, 1)
    assert jacobian_determinant(field).unique().tolist() == [-1.0]


def test_an_axis_of_one_voxel_does_not_change():
    field = torch.zeros(1, 3, 6, 1, 6)
    field[:, 0] = torch.arange(6.0).view(6, 1, 1)
    assert jacobian_determinant(field).unique().tolist() == [2.0]


@pytest.mark.slow
def test_gradients_of_the_determinant_agree_with_finite_differences():
    assert torch.autograd.gradcheck(jacobian_determinant, (a_field((3, 4, 3)).double().requires_grad_(),))


@pytest.mark.parametrize("shape", [(1, 4, 3, 3, 3, 3), (1, 2, 5, 5, 5), (1, 3, 5, 5)])
def test_what_is_no_displacement_is_refused(shape):
    with pytest.raises(GeometryError, match=r"N = 1, 2 or 3 axes, got \(1, "):
        jacobian_determinant(torch.zeros(shape))
