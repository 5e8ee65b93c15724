"""Two sets of feature maps become the matrix that aligns their centres of mass, the same from either side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.affine import square, without_last_row
from ..core.affine_parameters import affine_to_parameters, parameters_to_affine
from ..core.full_precision import as_double, in_float32
from ..core.spatial import barycentre

#: Pull of a fit towards identity, squared voxels: without effect unless the centres fall together.
RIDGE = 1e-8
#: Volume ratios of a fit that features without contents may give; identity takes its place.
_SMALLEST, _LARGEST = 1e-6, 1e6


@in_float32
def align_features(
    moving: Tensor, fixed: Tensor, shape: Sequence[int], weighted: bool = True, rigid: bool = False
) -> Tensor:
    """The matrix that takes the centres of the fixed feature maps nearest to those of the moving ones.

    It is the mean of the fit in one direction and the inverse of the fit in the other, so that exchanging the images
    inverts it nearly. Features that determine no matrix (all dead, or all in one place) give the identity.

    Args:
        moving: (B, F, *own), not negative.
        fixed: (B, F, *own).
        shape: extents of the image grid that the feature maps cover.
        weighted: weight every feature by its share of all mass, in both images.
        rigid: drop scales and shears.

    Returns:
        (B, N, N + 1), float64: voxels of `shape` that count from the middle of the grid.

    Source: Hoffmann et al., SPIE Medical Imaging 2023, arXiv:2301.11329.
    """
    extents = as_double(torch.tensor(list(shape), device=moving.device))
    centres = [
        as_double(barycentre(x, normalize=True, shift_center=True)).to(extents) * extents for x in (moving, fixed)
    ]
    weights = torch.ones_like(centres[0][..., :1])
    if weighted:
        weights = _share(moving).to(extents) * _share(fixed).to(extents)
    matrix = _symmetric_fit(*centres, weights)
    if rigid:
        ndims = len(shape)
        parameters = affine_to_parameters(matrix)[..., : ndims * (ndims + 1) // 2]
        matrix = parameters_to_affine(parameters, ndims)
    return matrix


def _share(features: Tensor) -> Tensor:
    """(B, F, 1): how much of all mass every feature has; 0 where there is none."""
    mass = as_double(features.flatten(2).sum(2, keepdim=True))
    total = mass.sum(1, keepdim=True)
    return mass / torch.where(total == 0, torch.ones_like(total), total)


def _symmetric_fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    forward, backward = _fit(moving, fixed, weights), _fit(fixed, moving, weights)
    plausible = _plausible(forward) & _plausible(backward)
    backward = _where(plausible, backward)
    matrix = (forward + without_last_row(torch.linalg.inv(square(backward)))) / 2
    return _where(plausible & _plausible(matrix), matrix)


def _fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    """(B, N, N + 1) of points (B, P, N) and weights (B, P, 1): least squares about the weighted centres."""
    total = weights.sum(1, keepdim=True)
    share = weights / torch.where(total == 0, torch.ones_like(total), total)
    centres = [(share * points).sum(1, keepdim=True) for points in (moving, fixed)]
    moving, fixed = moving - centres[0], fixed - centres[1]
    ridge = RIDGE * torch.eye(fixed.shape[2], dtype=fixed.dtype, device=fixed.device)
    covariance = moving.mT @ (share * fixed) + ridge
    linear = torch.linalg.solve(fixed.mT @ (share * fixed) + ridge, covariance, left=False)
    return torch.cat([linear, centres[0].mT - linear @ centres[1].mT], -1)


def _plausible(matrix: Tensor) -> Tensor:
    """(B, 1, 1), bool."""
    volume = torch.linalg.det(matrix[..., :-1].detach()).abs()
    usable = (volume > _SMALLEST) & (volume < _LARGEST) & matrix.detach().isfinite().all(-1).all(-1)
    return usable[:, None, None]


def _where(usable: Tensor, matrix: Tensor) -> Tensor:
    """`matrix`, or the identity."""
    identity = torch.eye(*matrix.shape[-2:], dtype=matrix.dtype, device=matrix.device)
    return torch.where(usable, matrix, identity.expand_as(matrix))
