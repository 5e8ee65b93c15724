"""The square root of a matrix: the transform that, applied twice, gives the whole one (half way between two images)."""

from __future__ import annotations

import torch
from torch import Tensor

from .affine import square
from .errors import GeometryError
from .precision import as_double, in_float32

ITERATIONS = 30
RESIDUAL = 1e-6


@in_float32
def affine_root(matrix: Tensor) -> Tensor:
    """The principal square root R, R R = M.

    Args:
        matrix: (B, N, N + 1) or (B, N + 1, N + 1).

    Returns:
        The root in the form of `matrix`, computed in float64.

    Raises:
        GeometryError: there is no real root: an eigenvalue is zero or negative (a reflection, a turn by 180 degrees).

    Source: Denman and Beavers, Appl. Math. Comput. 2:63-94 (1976): Y, Z <- (Y + Z^-1) / 2, (Z + Y^-1) / 2.
    """
    whole = square(as_double(matrix))
    root, inverse_root = whole, torch.eye(whole.shape[-1], dtype=whole.dtype, device=whole.device).expand_as(whole)
    for _ in range(ITERATIONS):
        following = (root + torch.linalg.inv_ex(inverse_root).inverse) / 2
        inverse_root = (inverse_root + torch.linalg.inv_ex(root).inverse) / 2
        step, root = (following - root).detach().abs().amax(), following
        if step <= 1e-14 * root.detach().abs().amax():
            break
    residual = (root @ root - whole).detach().abs().amax((-2, -1)) / whole.detach().abs().amax((-2, -1))
    if not bool((residual < RESIDUAL).all()):
        raise GeometryError(
            f"A matrix has no real square root (residual {residual.max().item():.3g}): {matrix.tolist()}. "
            "Give matrices without reflection and with rotations below 180 degrees."
        )
    return root[..., : matrix.shape[-2], :].to(matrix)
