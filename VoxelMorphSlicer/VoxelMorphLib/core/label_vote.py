"""Label maps between their voxels: the label that linear interpolation of each label's mask gives the most of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

#: Shares that differ by less than this are the same: what rounding leaves of equal ones.
_SAME_SHARE = 1e-9


def most_of(labels: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """The label with the largest share at each place; of equal shares the smallest label.

    The share of a label is its mask, 0 and 1, interpolated linearly. Only the eight voxels around a place have any, so
    that time and memory do not grow with the number of labels.

    Args:
        labels: (I, J, K), whole numbers; beyond the border its nearest voxel continues.
        voxels: (..., 3), voxel coordinates.

    Returns:
        (...), of the type of `labels`.
    """
    around = list(_corners(labels, voxels.reshape(-1, 3)))
    best = np.full(len(around[0][0]), -1.0)
    chosen = np.zeros(len(best), labels.dtype)
    for label, _weight in around:
        share = sum(np.where(other == label, weight, 0.0) for other, weight in around)
        better = share > best + _SAME_SHARE
        better |= (share > best - _SAME_SHARE) & (label < chosen)
        chosen, best = np.where(better, label, chosen), np.where(better, share, best)
    return chosen.reshape(voxels.shape[:-1])


def _corners(labels: np.ndarray, voxels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label and weight, (N,) each, of the eight voxels around each place."""
    last = np.array(labels.shape) - 1
    inside = np.clip(voxels, 0, last)
    low = np.floor(inside).astype(np.intp)
    high_part = inside - low
    for corner in product((0, 1), repeat=3):
        at = np.minimum(low + corner, last)
        weight = np.where(corner, high_part, 1 - high_part).prod(axis=1)
        yield labels[tuple(at.T)], weight
