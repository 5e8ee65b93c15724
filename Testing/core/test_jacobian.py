"""The Jacobian determinant: known maps, numpy's differences, folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from VoxelMorphLib.core.affine import affine_to_displacement
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.jacobian import jacobian_determinant
from VoxelMorphLib.core.spatial import identity_grid

SHAPES = [(9,), (7, 8), (5, 6, 7)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d", "3d"])


def a_field(shape) -> torch.Tensor:
    return torch.randn(2, len(shape), *shape, generator=torch.Generator().manual_seed(0))


@every_shape
def test_no_displacement_keeps_every_volume(shape):
    assert torch.equal(jacobian_determinant(torch.zeros(1, len(shape), *shape)), torch.ones(1, *shape))


@every_shape
def test_a_matrix_scales_every_voxel_by_its_determinant(shape):
    n = len(shape)
    noise = 0.3 * torch.randn(1, n, n + 1, generator=torch.Generator().manual_seed(1))
    matrix = torch.eye(n, n + 1) + noise
    determinant = torch.linalg.det(matrix[..., :n]).item()
    result = jacobian_determinant(affine_to_displacement(matrix, shape))
    torch.testing.assert_close(result, torch.full((1, *shape), determinant), atol=1e-5, rtol=0)


@every_shape
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


def test_gradients_agree_with_finite_differences():
    assert torch.autograd.gradcheck(jacobian_determinant, (a_field((3, 4, 3)).double().requires_grad_(),))


@pytest.mark.parametrize("shape", [(1, 4, 3, 3, 3, 3), (1, 2, 5, 5, 5), (1, 3, 5, 5)])
def test_what_is_no_displacement_is_refused(shape):
    with pytest.raises(GeometryError, match=r"N = 1, 2 or 3 axes, got \(1, "):
        jacobian_determinant(torch.zeros(shape))
