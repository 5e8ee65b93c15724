"""How much of one field of view lies in another one under a transform."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..core.geometry import Geometry
from ..core.transform import Transform

#: Places along each axis at which it is looked.
PLACES = 16


def overlaps(fixed: Geometry, moving: Geometry, transform: Transform) -> bool:
    """True when some place of the fixed field of view lies in the moving one; exact for linear transforms.

    Source: two convex bodies are apart when a plane separates them, and for two boxes it is parallel to a face of one
    or to an edge of each (Gottschalk et al., SIGGRAPH 1996, doi:10.1145/237170.237244).
    """
    matrix = transform.as_matrix()
    if matrix is None:
        return overlap_share(fixed, moving, transform) > 0
    to_moving = moving.world_to_voxel_affine @ matrix @ fixed.affine
    corners = _corners(fixed) @ to_moving[:3, :3].T + to_moving[:3, 3], _corners(moving)
    return not any(_separates(axis, *corners) for axis in _directions(to_moving[:3, :3]))


def overlap_share(fixed: Geometry, moving: Geometry, transform: Transform) -> float:
    """Share, 0 to 1, of the fixed grid that `transform` (fixed -> moving) leads to places inside the moving one."""
    steps = np.stack(np.meshgrid(*[np.linspace(0, n - 1, PLACES) for n in fixed.shape], indexing="ij"), axis=-1)
    voxels = moving.world_to_voxel(transform.apply_to_points(fixed.voxel_to_world(steps)))
    return float(moving.holds(voxels).mean())


def _corners(geometry: Geometry) -> np.ndarray:
    """(8, 3), voxel coordinates of the outer corners."""
    return np.array(list(product(*[(-0.5, n - 0.5) for n in geometry.shape])))


def _directions(edges: np.ndarray) -> np.ndarray:
    """(15, 3), normals of the planes that can separate a box with these edges (columns) from one along the axes."""
    own, others = edges.T, np.eye(3)
    pairs = [(own[1], own[2]), (own[2], own[0]), (own[0], own[1]), *product(own, others)]
    return np.concatenate([others, [np.cross(one, other) for one, other in pairs]])


def _separates(direction: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    here, there = one @ direction, other @ direction
    gap = 1e-9 * max(np.abs(here).max(), np.abs(there).max())
    return bool(here.max() < there.min() - gap or there.max() < here.min() - gap)
