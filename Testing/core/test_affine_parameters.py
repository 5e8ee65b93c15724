"""Translation, rotation, scale and shear: both ways."""

from __future__ import annotations

import math

import pytest
import torch
from VoxelMorphLib.core.affine_parameters import (
    affine_to_parameters,
    angles_to_rotation,
    parameters_to_affine,
    rotation_to_angles,
)
from VoxelMorphLib.core.errors import ConfigError, GeometryError

both_dimensions = pytest.mark.parametrize("ndims", [2, 3])


def some_parameters(ndims: int, first_scale: float = 1.0) -> torch.Tensor:
    """(5, P) in degrees, scales between 0.7 and 1.3."""
    generator = torch.Generator().manual_seed(ndims)
    planes = ndims * (ndims - 1) // 2
    widths = torch.tensor([5.0] * ndims + [80.0] * planes + [0.3] * ndims + [0.2] * planes)
    parameters = (torch.rand(5, len(widths), generator=generator) * 2 - 1) * widths
    parameters[:, ndims + planes : 2 * ndims + planes] += 1
    parameters[:, ndims + planes] *= first_scale
    return parameters


@both_dimensions
@pytest.mark.parametrize("deg", [True, False])
@pytest.mark.parametrize("last_row", [True, False])
def test_parameters_come_back(ndims, deg, last_row):
    parameters = some_parameters(ndims)
    if not deg:
        angles = slice(ndims, ndims + ndims * (ndims - 1) // 2)
        parameters[:, angles] = torch.deg2rad(parameters[:, angles])
    matrix = parameters_to_affine(parameters, ndims, deg, last_row=last_row)
    torch.testing.assert_close(affine_to_parameters(matrix, deg), parameters, atol=1e-4, rtol=1e-4)


@both_dimensions
def test_a_reflection_comes_back_exactly_as_a_negative_first_scale(ndims):
    parameters = some_parameters(ndims, first_scale=-1.0)
    matrix = parameters_to_affine(parameters, ndims)
    assert (torch.linalg.det(matrix[..., :ndims]) < 0).all()
    torch.testing.assert_close(affine_to_parameters(matrix), parameters, atol=1e-4, rtol=1e-4)
    original = parameters_to_affine(affine_to_parameters(matrix, reflections="original"), ndims)
    assert (original - matrix).abs().max() > 0.01


def test_rotations_are_right_handed_about_the_array_axes():
    quarter = [angles_to_rotation(torch.eye(3)[axis] * 90) for axis in range(3)]
    x, y, z = torch.eye(3)
    for rotation, start, end in zip(quarter, (y, z, x), (z, x, y)):
        torch.testing.assert_close(rotation @ start, end, atol=1e-6, rtol=0)
    product = quarter[0] @ quarter[1] @ quarter[2]
    torch.testing.assert_close(angles_to_rotation(torch.full((3,), 90.0)), product, atol=1e-6, rtol=0)


def test_angles_may_be_radians():
    torch.testing.assert_close(
        angles_to_rotation(torch.tensor([math.pi / 3]), deg=False), angles_to_rotation(torch.tensor([60.0]))
    )
    rotation = angles_to_rotation(torch.tensor([0.1, 0.2, 0.3]), deg=False)
    torch.testing.assert_close(rotation_to_angles(rotation, deg=False), torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("middle", [90.0, -90.0, 89.9999, 89.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_angles_near_the_gimbal_lock_give_the_rotation_back(middle, dtype):
    rotation = angles_to_rotation(torch.tensor([[25.0, middle, -40.0], [-170.0, middle, 77.0]], dtype=dtype))
    back = angles_to_rotation(rotation_to_angles(rotation))
    torch.testing.assert_close(back, rotation, atol=1e-3, rtol=0)


@both_dimensions
def test_missing_parameters_are_those_of_the_identity(ndims):
    matrix = parameters_to_affine(torch.tensor([3.0]), ndims)
    expected = torch.eye(ndims, ndims + 1)
    expected[0, -1] = 3
    assert torch.equal(matrix, expected)


def test_the_order_is_translation_rotation_scale_shear():
    matrix = parameters_to_affine(torch.tensor([5.0, 6.0, 0.0, 2.0, 3.0, 0.5]), 2)
    assert matrix.tolist() == [[2.0, 1.0, 5.0], [0.0, 3.0, 6.0]]


def test_scales_may_be_differences_from_one():
    matrix = parameters_to_affine(torch.tensor([0.0, 0.0, 0.0, 1.0, -0.5]), 2, shift_scale=True, last_row=True)
    assert matrix.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]


@both_dimensions
def test_gradients_flow_both_ways(ndims):
    parameters = some_parameters(ndims)[:2].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: parameters_to_affine(p, ndims), (parameters,))
    matrix = parameters_to_affine(parameters.detach(), ndims).requires_grad_()
    assert torch.autograd.gradcheck(affine_to_parameters, (matrix,))


def test_inputs_are_unchanged():
    parameters = some_parameters(3)
    before = parameters.clone()
    parameters_to_affine(parameters, 3).add_(1)
    assert torch.equal(parameters, before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: angles_to_rotation(torch.zeros(2)), GeometryError, "1 angle in 2-D and 3 in 3-D, got 2"),
        (lambda: parameters_to_affine(torch.zeros(7), 2), GeometryError, "7 parameters do not fit 2-D"),
        (lambda: parameters_to_affine(torch.zeros(2), 1), GeometryError, "do not fit 1-D"),
        (lambda: affine_to_parameters(torch.zeros(1, 3, 4)), GeometryError, "singular matrix has no parameters"),
        (lambda: affine_to_parameters(torch.zeros(3, 4), reflections="no"), ConfigError, "'no'.*exact, original"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
