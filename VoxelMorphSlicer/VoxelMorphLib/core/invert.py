"""Inversion: the displacement that undoes another one, with what it leaves over."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import at_least_float32
from .spatial import warp


@torch.no_grad()
def invert_displacement(
    displacement: Tensor,
    iterations: int = 50,
    tolerance: float = 0.01,
    start: Tensor | None = None,
    check: bool = True,
) -> tuple[Tensor, Tensor]:
    """Solve v(x) = -u(x + v(x)) at every voxel.

    A voxel whose error does not shrink halves its step, so that expansions beyond a factor of two converge too. Where
    the displacement folds there is no inverse, and the residual stays large.

    Args:
        displacement: (B, N, *shape), voxels; beyond its grid it continues with its border.
        iterations: at most so many.
        tolerance: stop when no voxel of the batch is off by more, voxels.
        start: (B, N, *shape), first guess; by default the negative displacement.
        check: measure what the last iteration leaves, at the cost of one more; else the residual is that before it.

    Returns:
        The inverse (B, N, *shape), voxels, and the largest residual |v(x) + u(x + v(x))| of each item, (B,) voxels.
        No gradient flows.

    Source: Chen et al., Med. Phys. 35:81-88 (2008), doi:10.1118/1.2816107, with a step that adapts per voxel.
    """
    displacement = at_least_float32(displacement)
    inverse = -displacement if start is None else at_least_float32(start).clone()
    step = torch.ones_like(displacement[:, :1])
    residual = torch.full_like(step, torch.inf)
    for iteration in range(iterations + 1 if check else iterations):
        error = warp(displacement, inverse).add_(inverse).neg_()
        previous, residual = residual, _length(error)
        if iteration == iterations or residual.max() <= tolerance:
            break
        step = torch.where(residual < previous, step, step / 2)
        inverse.addcmul_(step, error)
    return inverse, residual.flatten(1).amax(1)


def _length(vectors: Tensor) -> Tensor:
    """(B, 1, *shape); one component at a time, which is several times faster than the norm over an outer axis."""
    squares = vectors[:, :1].square()
    for component in range(1, vectors.shape[1]):
        squares.addcmul_(vectors[:, component : component + 1], vectors[:, component : component + 1])
    return squares.sqrt_()
