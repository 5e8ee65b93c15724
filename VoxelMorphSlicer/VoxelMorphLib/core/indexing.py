"""The "xy" convention of the older releases: the first two components belong to the second and the first axis."""

from __future__ import annotations

from torch import Tensor

from .affine import is_affine


def from_xy(transform: Tensor) -> Tensor:
    """A displacement (B, N, *shape) or matrices (B, N, N + 1), (B, N + 1, N + 1), with their first two axes exchanged.

    The exchange is its own inverse, so it also leads back to "xy".
    """
    order = list(range(transform.shape[1]))
    order[:2] = order[1::-1]
    swapped = transform[:, order]
    if not is_affine(transform):
        return swapped
    columns = list(range(transform.shape[2]))
    columns[:2] = columns[1::-1]
    return swapped[:, :, columns]
