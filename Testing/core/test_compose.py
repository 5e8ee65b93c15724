"""Composition: order, kinds, grids."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.affine import affine_to_displacement, square
from VoxelMorphLib.core.compose import compose
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.spatial import identity_grid, warp

SCALE_2 = torch.tensor([[[2.0, 0, 0], [0, 2, 0]]])
SHIFT_3 = torch.tensor([[[1.0, 0, 3], [0, 1, 3]]])


def a_field(shape=(12, 14), seed=0) -> torch.Tensor:
    coarse = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape, mode="bilinear", align_corners=True)


def test_the_leftmost_transform_is_applied_last_to_coordinates():
    assert compose([SCALE_2, SHIFT_3]).tolist() == [[[2, 0, 6], [0, 2, 6]]]
    assert compose([SHIFT_3, SCALE_2]).tolist() == [[[2, 0, 3], [0, 2, 3]]]


def test_matrices_of_either_form_give_a_matrix():
    torch.testing.assert_close(compose([square(SCALE_2), SHIFT_3]), compose([SCALE_2, SHIFT_3]))
    assert torch.equal(compose([square(SCALE_2)]), SCALE_2)


def test_displacements_add_where_the_inner_one_leads():
    outer, inner = a_field(seed=1), a_field(seed=2)
    torch.testing.assert_close(compose([outer, inner]), inner + warp(outer, inner))


@pytest.mark.parametrize("shift_center", [True, False])
def test_a_matrix_counts_like_its_displacement(shift_center):
    matrix, field = torch.tensor([[[1.02, 0.01, 0.6], [-0.03, 0.99, -0.4]]]), a_field()
    dense = affine_to_displacement(matrix, field.shape[2:], shift_center)
    torch.testing.assert_close(compose([field, matrix], shift_center), compose([field, dense]))
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(compose([matrix, field], shift_center)[inside], compose([dense, field])[inside])


def test_images_move_first_by_the_leftmost_transform():
    ramp = identity_grid((12, 14))
    outer, inner = 0.3 * a_field(seed=1), 0.3 * a_field(seed=2)
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    once, twice = warp(ramp, compose([outer, inner])), warp(warp(ramp, outer), inner)
    torch.testing.assert_close(once[inside], twice[inside])


def test_a_shape_sets_the_grid_of_the_result():
    assert compose([a_field(), SHIFT_3], shift_center=False, shape=(20, 9)).shape == (1, 2, 20, 9)


def test_nearest_takes_whole_displacements():
    outer, inner = torch.zeros(1, 2, 12, 14), torch.full((1, 2, 12, 14), 0.3)
    outer[:, :, 5] = 2
    assert compose([outer, inner], interpolation="nearest")[0, 0, 5, 5] == pytest.approx(2.3)
    assert compose([outer, inner])[0, 0, 5, 5] == pytest.approx(0.3 + 0.7 * 2)


def test_one_field_serves_a_batch():
    fields = torch.cat([a_field(seed=1), a_field(seed=2)])
    assert compose([SHIFT_3, fields]).shape == fields.shape
    torch.testing.assert_close(compose([a_field(), fields])[1:], compose([a_field(), fields[1:]]))


def test_gradients_agree_with_finite_differences():
    matrix, field = SCALE_2.double().requires_grad_(), a_field((4, 4)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, f: compose([f, m, f]), (matrix, field), eps=1e-7, atol=1e-5)


def test_autocast_does_not_reach_the_product():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        product = compose([SCALE_2 * 1.001, SHIFT_3])
    assert torch.equal(product, compose([SCALE_2 * 1.001, SHIFT_3]))


def test_nothing_to_compose_is_refused():
    with pytest.raises(GeometryError, match="at least one matrix or displacement"):
        compose([])
