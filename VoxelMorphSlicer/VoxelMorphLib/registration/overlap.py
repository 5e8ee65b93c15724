"""How much of the fixed field of view a transform leads into that of the moving image."""

from __future__ import annotations

import numpy as np

from ..core.geometry import Geometry
from ..core.transform import Transform

#: Places along each axis at which it is looked.
PLACES = 16


def overlap(fixed: Geometry, moving: Geometry, transform: Transform) -> float:
    """Share, 0 to 1, of the fixed grid that `transform` (fixed -> moving) leads to places inside the moving one."""
    steps = np.stack(np.meshgrid(*[np.linspace(0, n - 1, PLACES) for n in fixed.shape], indexing="ij"), axis=-1)
    voxels = moving.world_to_voxel(transform.apply_to_points(fixed.voxel_to_world(steps)))
    inside = (voxels >= -0.5) & (voxels <= np.array(moving.shape) - 0.5)
    return float(inside.all(axis=-1).mean())
