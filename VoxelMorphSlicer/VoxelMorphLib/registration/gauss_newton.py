"""The step of an optimised velocity: Gauss-Newton's equations of data and regularity, solved by conjugate gradients.

Source: Ashburner, NeuroImage 38:95-113 (2007), doi:10.1016/j.neuroimage.2007.07.007, which solves the same equations
by multigrid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: The curvature of the data gets this share of its mean added, so that flat regions stay solvable.
DAMPING = 0.05


@dataclass(frozen=True)
class Regularity:
    """Energy of a velocity: membrane/2 |strain|^2 + bending/2 |spacing * change of strain|^2, summed over the nodes.

    Strains have no unit, so mouse and man get the same relative smoothness whatever their voxels.

    Args:
        membrane, bending: weights.
        spacing: voxels between two nodes, per axis; infinite along an axis of a single node, which has no strain.
    """

    membrane: float
    bending: float
    spacing: tuple[float, ...]

    @property
    def mean_square(self) -> float:
        """Of the spacing, squared voxels."""
        squares = [h * h for h in self.spacing if math.isfinite(h)]
        return sum(squares) / max(len(squares), 1)

    def gradient(self, velocity: Tensor) -> Tensor:
        """(1, 3, *nodes) of the energy; linear in the velocity, so it is the operator of the equations as well."""
        once = self._laplacian(velocity)
        result = self.membrane * once
        if self.bending:
            result = result + (self.bending * self.mean_square) * self._laplacian(once)
        return result

    def diagonal(self) -> float:
        """About the largest entry on the diagonal of the operator."""
        curvature = sum(2 / (h * h) for h in self.spacing)
        return self.membrane * curvature + self.bending * self.mean_square * curvature**2 * 7 / 6

    def _laplacian(self, values: Tensor) -> Tensor:
        """Minus the Laplacian; nothing flows through the faces of the grid."""
        result = torch.zeros_like(values)
        for axis, h in enumerate(self.spacing, start=2):
            slope, n = values.diff(dim=axis), values.shape[axis]
            if n > 1:
                result.narrow(axis, 0, n - 1).sub_(slope, alpha=1 / (h * h))
                result.narrow(axis, 1, n - 1).add_(slope, alpha=1 / (h * h))
        return result


def structure_tensor(image: Tensor, scale: Sequence[float]) -> Tensor:
    """(1, 6, *shape): products xx, xy, xz, yy, yz, zz of the image's derivatives, summed over its channels.

    Args:
        image: (1, C, *shape).
        scale: voxels of the velocity's unit per voxel of the image, per axis.
    """
    result = torch.zeros(1, 6, *image.shape[2:], device=image.device)
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    for channel in image[0]:
        slopes = [_slope_along(channel, axis) / scale[axis] for axis in range(3)]
        for number, (i, j) in enumerate(pairs):
            result[0, number].addcmul_(slopes[i], slopes[j])
    return result


def solve(curvature: Tensor, regularity: Regularity, right: Tensor, iterations: int) -> Tensor:
    """The step d of (curvature + damping + regularity) d = right, by preconditioned conjugate gradients.

    Args:
        curvature: (1, 6, *nodes), see `structure_tensor`.
        regularity: of the velocity.
        right: (1, 3, *nodes), the negative gradient.
        iterations: number.
    """
    trace = curvature[:, [0, 3, 5]]
    damping = DAMPING * trace.mean() + 1e-12
    preconditioner = trace + (damping + regularity.diagonal())

    def operator(x: Tensor) -> Tensor:
        return _multiply(curvature, x).add_(damping * x).add_(regularity.gradient(x))

    step, residual = torch.zeros_like(right), right.clone()
    ahead = residual / preconditioner
    direction, product = ahead.clone(), (residual * ahead).sum()
    for _ in range(iterations):
        image = operator(direction)
        length = product / ((direction * image).sum() + 1e-30)
        step.addcmul_(direction, length)
        residual.addcmul_(image, -length)
        ahead = residual / preconditioner
        previous, product = product, (residual * ahead).sum()
        direction = ahead.addcmul_(direction, product / (previous + 1e-30))
    return step


def _multiply(curvature: Tensor, vectors: Tensor) -> Tensor:
    xx, xy, xz, yy, yz, zz = curvature.unbind(1)
    x, y, z = vectors.unbind(1)
    rows = xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z
    return torch.stack(rows, dim=1)


def _slope_along(channel: Tensor, axis: int) -> Tensor:
    """(*shape) of a channel (*shape), for each of its voxels; 0 along an axis of one voxel."""
    return torch.zeros_like(channel) if channel.shape[axis] < 2 else torch.gradient(channel, dim=axis)[0]
