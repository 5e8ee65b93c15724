"""Matrices on voxel coordinates: forms, inverses, displacements, square roots, least-squares fits."""

from __future__ import annotations

import pytest
import torch
from support.voxel_grid import identity_grid
from VoxelMorphLib.core.affine import (
    add_identity,
    affine_root,
    affine_to_displacement,
    fit_affine,
    from_xy,
    invert_affine,
    is_affine,
    remove_identity,
    rescale_affine,
    square,
    without_last_row,
)
from VoxelMorphLib.core.affine_parameters import parameters_to_affine
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.spatial import warp

both_dimensions = pytest.mark.parametrize("ndims", [2, 3])


def some_matrices(ndims: int, count: int = 4) -> torch.Tensor:
    """(count, N, N + 1), moderate rotations, scales around 1, small shears."""
    generator = torch.Generator().manual_seed(ndims)
    planes = ndims * (ndims - 1) // 2
    widths = torch.tensor([4.0] * ndims + [30.0] * planes + [0.2] * ndims + [0.1] * planes)
    parameters = (torch.rand(count, len(widths), generator=generator) * 2 - 1) * widths
    return parameters_to_affine(parameters, ndims, shift_scale=True)


def the_identity(ndims: int) -> torch.Tensor:
    return torch.eye(ndims, ndims + 1)[None]


@both_dimensions
def test_a_matrix_times_its_inverse_is_the_identity(ndims):
    matrix = some_matrices(ndims)
    product = square(matrix) @ square(invert_affine(matrix))
    torch.testing.assert_close(product, torch.eye(ndims + 1).expand_as(product), atol=1e-5, rtol=0)


@both_dimensions
def test_the_inverse_has_the_form_of_the_matrix(ndims):
    matrix = some_matrices(ndims)
    assert invert_affine(matrix).shape == matrix.shape
    assert invert_affine(square(matrix)).shape == square(matrix).shape
    assert square(square(matrix)).shape == square(matrix).shape
    assert torch.equal(without_last_row(square(matrix)), matrix)


def test_a_singular_matrix_has_no_inverse():
    with pytest.raises(GeometryError, match=r"no inverse.*above zero"):
        invert_affine(torch.zeros(1, 3, 4))


@both_dimensions
def test_identity_is_added_to_either_form(ndims):
    matrix = some_matrices(ndims)
    torch.testing.assert_close(remove_identity(add_identity(matrix)), matrix)
    assert torch.equal(add_identity(matrix.flatten(1)), add_identity(matrix))


def test_a_flat_matrix_of_impossible_length_is_refused():
    with pytest.raises(GeometryError, match=r"2, 6 or 12 entries.*got 7"):
        add_identity(torch.zeros(1, 7))


def test_matrices_and_displacements_are_told_apart():
    assert is_affine(torch.zeros(2, 3, 4)) and is_affine(torch.zeros(2, 4, 4)) and is_affine(torch.zeros(2, 1, 2))
    assert not is_affine(torch.zeros(2, 3, 4, 4, 4)) and not is_affine(torch.zeros(2, 1, 40))


@both_dimensions
@pytest.mark.parametrize("shift_center", [True, False])
def test_the_displacement_is_that_of_the_mapped_grid(ndims, shift_center):
    shape = (7, 10, 5)[:ndims]
    matrix = some_matrices(ndims, count=2)
    grid = identity_grid(shape)
    origin = torch.tensor([(n - 1) / 2 for n in shape]).view(1, -1, *[1] * ndims) * shift_center
    mapped = torch.einsum("bij,cj...->bi...", matrix[..., :ndims], grid - origin)
    expected = mapped + matrix[..., ndims].view(2, ndims, *[1] * ndims) + origin - grid
    torch.testing.assert_close(affine_to_displacement(matrix, shape, shift_center), expected, atol=1e-5, rtol=0)


def test_the_identity_does_not_move_anything_at_all():
    assert affine_to_displacement(the_identity(3), (9, 8, 7)).abs().max() == 0


def test_a_rotation_about_the_centre_keeps_the_centre():
    rotation = parameters_to_affine(torch.tensor([[0.0, 0, 90]]), 2)
    image = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    moved = warp(image, affine_to_displacement(rotation, (9, 9)))
    torch.testing.assert_close(moved, image.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


@both_dimensions
def test_a_displacement_applied_first_is_carried_along(ndims):
    shape = (6, 5, 7)[:ndims]
    matrix, shift = some_matrices(ndims, count=1), torch.full((1, ndims, *shape), 1.5)
    moved = without_last_row(
        square(matrix) @ square(torch.cat([torch.eye(ndims), torch.full((ndims, 1), 1.5)], 1)[None])
    )
    expected = affine_to_displacement(moved, shape, shift_center=False)
    actual = affine_to_displacement(matrix, shape, shift_center=False, warp_right=shift)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_a_matrix_for_other_axes_is_refused():
    with pytest.raises(GeometryError, match=r"matrices of 3 x 4, got \(1, 2, 3\)"):
        affine_to_displacement(the_identity(2), (4, 4, 4))


@pytest.mark.parametrize("factor", [2.0, (2.0, 3.0, 0.5)], ids=["common", "per axis"])
def test_a_rescaled_matrix_maps_rescaled_points_alike(factor):
    matrix = some_matrices(3)
    points = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0)) * 10
    scale = torch.as_tensor(factor).expand(3).view(3, 1)
    mapped = matrix[..., :3] @ points + matrix[..., 3:]
    rescaled = rescale_affine(matrix, factor)
    torch.testing.assert_close(rescaled[..., :3] @ (scale * points) + rescaled[..., 3:], scale * mapped)
    torch.testing.assert_close(rescale_affine(square(matrix), factor), square(rescaled))


@both_dimensions
def test_the_root_applied_twice_is_the_matrix(ndims):
    matrix = some_matrices(ndims)
    root = square(affine_root(matrix))
    torch.testing.assert_close(without_last_row(root @ root), matrix, atol=1e-5, rtol=1e-5)
    assert affine_root(square(matrix)).shape == square(matrix).shape


def test_the_root_of_a_rotation_has_half_the_angle():
    half, whole = (parameters_to_affine(torch.tensor([[0.0, 0, angle]]), 2) for angle in (85.0, 170.0))
    torch.testing.assert_close(affine_root(whole), half, atol=1e-6, rtol=0)


def test_gradients_flow_through_the_root():
    matrix = some_matrices(2, count=1).double().requires_grad_()
    assert torch.autograd.gradcheck(affine_root, (matrix,))


@pytest.mark.parametrize(
    "linear",
    [
        [[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]],
        [[0.0, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]],
    ],
    ids=["reflection", "half turn", "singular", "nan"],
)
def test_matrices_without_a_real_root_are_refused(linear):
    matrix = torch.cat([torch.tensor(linear), torch.zeros(3, 1)], 1)[None]
    with pytest.raises(GeometryError, match=r"no real square root.*below 180 degrees"):
        affine_root(matrix)


def test_autocast_does_not_reach_the_matrices():
    matrix = some_matrices(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inverse, dense = invert_affine(matrix), affine_to_displacement(matrix, (4, 4, 4))
    assert torch.equal(inverse, invert_affine(matrix))
    assert torch.equal(dense, affine_to_displacement(matrix, (4, 4, 4)))


@both_dimensions
def test_xy_exchanges_the_first_two_axes_and_back(ndims):
    matrix, field = some_matrices(ndims), torch.rand(2, ndims, *(4, 5, 6)[:ndims])
    assert torch.equal(from_xy(field)[:, 0], field[:, 1]) and torch.equal(from_xy(field)[:, 2:], field[:, 2:])
    for transform in (matrix, square(matrix), field):
        assert torch.equal(from_xy(from_xy(transform)), transform)
    dense = affine_to_displacement(matrix, (6, 6, 6)[:ndims])
    swapped = affine_to_displacement(from_xy(matrix), (6, 6, 6)[:ndims])
    torch.testing.assert_close(swapped.transpose(2, 3), from_xy(dense), atol=1e-5, rtol=0)


def some_points(ndims: int = 3, count: int = 12) -> torch.Tensor:
    return torch.rand(2, count, ndims, generator=torch.Generator().manual_seed(0)) * 50


def a_matrix(ndims: int = 3) -> torch.Tensor:
    noise = torch.randn(2, ndims, ndims + 1, generator=torch.Generator().manual_seed(1))
    return torch.eye(ndims, ndims + 1) + 0.2 * noise


def mapped(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return points @ matrix[..., :-1].mT + matrix[..., None, :, -1]


@pytest.mark.parametrize("ndims", [1, 2, 3])
def test_the_fit_maps_the_fixed_points_onto_the_moving_ones(ndims):
    fixed, matrix = some_points(ndims), a_matrix(ndims)
    torch.testing.assert_close(fit_affine(mapped(matrix, fixed), fixed), matrix, atol=1e-4, rtol=1e-5)


def test_points_far_from_the_origin_are_fitted_as_well():
    fixed, matrix = some_points() + 1e4, a_matrix()
    fitted = fit_affine(mapped(matrix, fixed).double(), fixed.double())
    torch.testing.assert_close(mapped(fitted, fixed.double()), mapped(matrix, fixed).double(), atol=1e-2, rtol=0)


def test_a_point_without_weight_does_not_count():
    fixed, matrix = some_points(), a_matrix()
    moving = mapped(matrix, fixed)
    moving[:, 3] += 100
    weights = torch.ones(2, 12)
    weights[:, 3] = 0
    for given in (weights, weights[..., None]):
        torch.testing.assert_close(fit_affine(moving, fixed, given), matrix, atol=1e-4, rtol=1e-5)
    assert (fit_affine(moving, fixed) - matrix).abs().max() > 0.1


def test_weights_act_like_repeated_points():
    fixed = some_points()
    moving = fixed + torch.randn(fixed.shape, generator=torch.Generator().manual_seed(2))
    weights = torch.ones(2, 12)
    weights[:, 0] = 3
    repeated = [torch.cat([points, points[:, :1], points[:, :1]], 1) for points in (moving, fixed)]
    torch.testing.assert_close(fit_affine(moving, fixed, weights), fit_affine(*repeated), atol=1e-5, rtol=1e-5)


def test_gradients_flow_to_the_points_and_weights():
    fixed, moving = some_points(2, 6).double(), some_points(2, 6).double().flip(1).contiguous()
    weights = torch.rand(2, 6, generator=torch.Generator().manual_seed(3)).double()
    inputs = [tensor[:1].requires_grad_() for tensor in (moving, fixed, weights)]
    assert torch.autograd.gradcheck(fit_affine, inputs)


def test_autocast_does_not_reach_the_fit():
    fixed, matrix = some_points(), a_matrix()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fitted = fit_affine(mapped(matrix, fixed).float(), fixed)
    assert fitted.dtype == torch.float32


def in_one_plane() -> torch.Tensor:
    points = some_points()
    points[..., 2] = 0
    return points


@pytest.mark.parametrize(
    ("fixed", "weights"),
    [
        (some_points(count=3), None),
        (in_one_plane(), None),
        (some_points(), torch.zeros(2, 12)),
        (torch.full((2, 12, 3), float("nan")), None),
    ],
    ids=["too few", "one plane", "no weight", "nan"],
)
def test_points_that_determine_nothing_are_refused(fixed, weights):
    with pytest.raises(GeometryError, match=r"points do not determine a matrix in 3-D.*Give more points"):
        fit_affine(torch.zeros_like(fixed), fixed, weights)
