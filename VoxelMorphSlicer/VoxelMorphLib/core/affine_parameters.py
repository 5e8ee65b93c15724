"""Affine matrices <-> translation, rotation, scale and shear."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .affine import square
from .errors import ConfigError, GeometryError
from .full_precision import in_float32

REFLECTIONS = ("exact", "original")


def parameter_count(ndims: int) -> int:
    """N translations, N (N - 1) / 2 rotations, N scales, N (N - 1) / 2 shears: 6 in 2-D, 12 in 3-D."""
    return ndims * (ndims + 1)


@in_float32
def angles_to_rotation(angles: Tensor, deg: bool = True) -> Tensor:
    """Rotation matrix of angles about the array axes.

    Args:
        angles: (..., 1) in the plane, or (..., 3): R = X(a0) Y(a1) Z(a2), each right-handed about its axis.
        deg: degrees, else radians.

    Returns:
        (..., N, N).

    Raises:
        GeometryError: neither one nor three angles.
    """
    angles = torch.deg2rad(angles) if deg else angles
    c, s = angles.cos(), angles.sin()
    if angles.shape[-1] == 1:
        return torch.stack([torch.cat([c, -s], -1), torch.cat([s, c], -1)], -2)
    if angles.shape[-1] != 3:
        raise GeometryError(f"A rotation has 1 angle in 2-D and 3 in 3-D, got {angles.shape[-1]}.")
    c0, c1, c2 = c.unbind(-1)
    s0, s1, s2 = s.unbind(-1)
    rows = [
        [c1 * c2, -c1 * s2, s1],
        [c0 * s2 + s0 * s1 * c2, c0 * c2 - s0 * s1 * s2, -s0 * c1],
        [s0 * s2 - c0 * s1 * c2, s0 * c2 + c0 * s1 * s2, c0 * c1],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@in_float32
def rotation_to_angles(rotation: Tensor, deg: bool = True) -> Tensor:
    """Angles (..., 1) or (..., 3) of rotation matrices (..., N, N), the inverse of `angles_to_rotation`.

    Where the middle angle is +-90 degrees only the sum or difference of the others is defined: the first is then 0.
    """
    if rotation.shape[-1] == 2:
        angles = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0]).unsqueeze(-1)
        return torch.rad2deg(angles) if deg else angles
    m00, m01, m02, m10, m11, m12, _m20, _m21, m22 = rotation.flatten(-2).unbind(-1)
    second = torch.asin(m02.clamp(-1, 1))
    cosine = second.cos()
    locked = torch.maximum(m00.abs(), m01.abs()) < 100 * torch.finfo(rotation.dtype).eps
    divisor = torch.where(locked, torch.ones_like(cosine), cosine)
    # For a rotation the quotients lie in [-1, 1]; with reflections="original" the matrix may not be one.
    ratio = [(value / divisor).clamp(-1, 1) for value in (-m12, m22, -m01, m00)]
    first = torch.where(locked, torch.zeros_like(second), torch.atan2(ratio[0], ratio[1]))
    third = torch.where(locked, torch.atan2(m10, m11), torch.atan2(ratio[2], ratio[3]))
    angles = torch.stack([first, second, third], -1)
    return torch.rad2deg(angles) if deg else angles


@in_float32
def parameters_to_affine(
    parameters: Tensor, ndims: int = 3, deg: bool = True, shift_scale: bool = False, last_row: bool = False
) -> Tensor:
    """The matrix T R S E of translation, rotation, scale and shear.

    Args:
        parameters: (..., P), in the order translation (N), rotation (1 or 3), scale (N), shear (1 or 3: upper triangle
            row by row). Missing trailing parameters are those of the identity.
        ndims: N, 2 or 3.
        deg: rotations in degrees, else radians.
        shift_scale: scales are given as the difference from 1.
        last_row: add the row 0 ... 0 1.

    Returns:
        (..., N, N + 1), or (..., N + 1, N + 1) with the last row.

    Raises:
        GeometryError: too many parameters, or another number of dimensions.
    """
    count = parameter_count(ndims)
    if ndims not in (2, 3) or parameters.shape[-1] > count:
        raise GeometryError(
            f"{parameters.shape[-1]} parameters do not fit {ndims}-D; give at most 6 in 2-D or 12 in 3-D."
        )
    parameters = _complete(parameters, ndims, shift_scale)
    translation, angles, scale, shear = parameters.split(_sizes(ndims), dim=-1)
    upper = torch.diag_embed(torch.ones_like(scale))
    row, column = torch.triu_indices(ndims, ndims, offset=1)
    upper[..., row, column] = shear
    linear = angles_to_rotation(angles, deg) @ (scale.unsqueeze(-1) * upper)
    matrix = torch.cat([linear, translation.unsqueeze(-1)], -1)
    return square(matrix) if last_row else matrix


@in_float32
def affine_to_parameters(matrix: Tensor, deg: bool = True, reflections: str = "exact") -> Tensor:
    """Translation, rotation, scale and shear of a matrix, the inverse of `parameters_to_affine`.

    Args:
        matrix: (..., N, N + 1) or (..., N + 1, N + 1), N = 2 or 3.
        deg: rotations in degrees, else radians.
        reflections: a negative determinant makes the first scale negative. "exact": the parameters give the matrix
            back. "original": the numbers of the original implementation, which do not.

    Returns:
        (..., 6) or (..., 12), order as in `parameters_to_affine`.

    Raises:
        GeometryError: the matrix is singular.
        ConfigError: unknown `reflections`.

    Source: Cholesky factor of M^T M = (S E)^T (S E), so S E is upper triangular and R = M (S E)^-1.
    """
    if reflections not in REFLECTIONS:
        raise ConfigError(f"Unknown treatment of reflections {reflections!r}; choose one of {', '.join(REFLECTIONS)}.")
    n = matrix.shape[-1] - 1
    matrix = matrix[..., :n, :]
    linear = matrix[..., :n]
    upper, failed = torch.linalg.cholesky_ex(linear.mT @ linear, upper=True)
    if failed.any():
        raise GeometryError(f"A singular matrix has no parameters: {matrix.tolist()}. Scales must differ from zero.")
    sign = torch.ones_like(upper[..., 0])
    sign[..., 0] = torch.linalg.det(linear).sign()
    flipped = sign.unsqueeze(-1) * upper
    if reflections == "original":  # which changes the sign of the diagonal entry only
        flipped = torch.triu(upper, 1) + torch.diag_embed(flipped.diagonal(dim1=-2, dim2=-1))
    scale = flipped.diagonal(dim1=-2, dim2=-1)
    row, column = torch.triu_indices(n, n, offset=1)
    shear = (flipped / scale.unsqueeze(-1))[..., row, column]
    rotation = torch.linalg.solve(flipped, linear, left=False)
    return torch.cat([matrix[..., n], rotation_to_angles(rotation, deg), scale, shear], -1)


def _sizes(ndims: int) -> list[int]:
    planes = ndims * (ndims - 1) // 2
    return [ndims, planes, ndims, planes]


def _complete(parameters: Tensor, ndims: int, shift_scale: bool) -> Tensor:
    """All parameters, with missing ones from the identity and scales as factors."""
    given = parameters.shape[-1]
    translations, rotations, scales, _ = _sizes(ndims)
    first = translations + rotations
    offset = torch.zeros(parameter_count(ndims), device=parameters.device, dtype=parameters.dtype)
    offset[first if shift_scale else max(first, given) : first + scales] = 1
    return functional.pad(parameters, (0, parameter_count(ndims) - given)) + offset
