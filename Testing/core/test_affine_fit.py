"""Least-squares fits: direction, weights, refusals."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.affine_fit import fit_affine
from VoxelMorphLib.core.errors import GeometryError


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
