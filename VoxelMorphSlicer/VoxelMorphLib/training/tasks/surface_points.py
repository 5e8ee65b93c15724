"""Label maps to signed distances and points on the surfaces of the labels."""

from __future__ import annotations

import numpy as np

from ...core.distance import signed_distance

#: Decides which points of a large surface are kept, always the same ones.
_SEED = 0


def label_surface(mask: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The surface of one label.

    Args:
        mask: (I, J, K), true inside, at least one voxel and not all of them.
        count: of the points.

    Returns:
        The signed distance (I, J, K) float32, voxels, negative inside; and points (count, 3) float32, voxels, where it
        is 0 between two voxels. A small surface's points occur several times.
    """
    distances = signed_distance(mask)
    points = _crossings(distances)
    random = np.random.default_rng(_SEED)
    times = -(-count // len(points))
    chosen = np.concatenate([random.permutation(len(points)) for _ in range(times)])[:count]
    return distances.astype(np.float32), points[chosen].astype(np.float32)


def _crossings(distances: np.ndarray) -> np.ndarray:
    """(P, 3): where the line between two neighbouring voxels changes its sign."""
    found = []
    for axis in range(distances.ndim):
        below, above = (np.take(distances, range(s, distances.shape[axis] - 1 + s), axis) for s in (0, 1))
        places = np.argwhere((below < 0) != (above < 0))
        first, second = below[tuple(places.T)], above[tuple(places.T)]
        points = places.astype(float)
        points[:, axis] += first / (first - second)
        found.append(points)
    return np.concatenate(found)
