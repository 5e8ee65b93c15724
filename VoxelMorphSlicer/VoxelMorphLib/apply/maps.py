"""What a transform does at every voxel of a grid: how it changes volumes, and how far it moves."""

from __future__ import annotations

import numpy as np

from ..core.geometry import Geometry
from ..core.image import Image
from ..core.jacobian import jacobian_image
from ..core.transform import Transform


def jacobian_map(transform: Transform, geometry: Geometry) -> Image:
    """Local volume ratio: 1 keeps the volume, 2 doubles it, 0 and less is a fold; float32, without unit."""
    matrix = transform.as_matrix()
    if matrix is None:
        return jacobian_image(transform, geometry)
    ratio = np.float32(np.linalg.det(matrix[:3, :3]))
    return Image(np.full(geometry.shape, ratio), geometry, "Jacobian determinant")


def magnitude_map(transform: Transform, geometry: Geometry) -> Image:
    """Length of the displacement, float32, mm."""
    field = transform.to_displacement(geometry).array
    return Image(np.sqrt(np.einsum("...c,...c->...", field, field)), geometry, "Displacement")
