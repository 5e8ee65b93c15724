"""Penalty on the curvature of a field; affine fields cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Settings
from ..precision import in_float32


@in_float32
def bending_energy(field: Tensor, multiplier: float = 1.0) -> Tensor:
    """Mean over voxels and components of the squared second derivatives, mixed ones counted twice.

    Args:
        field: (B, C, *shape), a velocity or displacement in voxels; central differences at inner voxels.
        multiplier: factor of the result.

    Returns:
        Scalar; 0 along axes of fewer than three voxels.

    Source: Rueckert et al., IEEE TMI 1999, doi:10.1109/42.796284, equation 9.
    """
    means = [weight * d.square().mean() for weight, d in _second_derivatives(field) if d.numel()]
    return multiplier * sum(means, field.new_zeros(()))


def _second_derivatives(field: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(weight, derivative) for every pair of axes."""
    for first in range(2, field.ndim):
        yield 1, torch.diff(field, n=2, dim=first)
        for second in range(first + 1, field.ndim):
            yield 2, _central(_central(field, first), second)


def _central(field: Tensor, axis: int) -> Tensor:
    steps = max(field.shape[axis] - 2, 0)
    return (field.narrow(axis, field.shape[axis] - steps, steps) - field.narrow(axis, 0, steps)) / 2


@dataclass(frozen=True)
class Bending(Settings):
    """`bending_energy` with its options bound."""

    multiplier: float = 1.0

    def __call__(self, field: Tensor) -> Tensor:
        return bending_energy(field, self.multiplier)
