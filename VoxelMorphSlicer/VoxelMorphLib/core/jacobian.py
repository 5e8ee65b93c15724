"""Local volume ratio of any transform on any grid, without torch."""

from __future__ import annotations

import numpy as np

from .geometry import Geometry
from .image import Image
from .transform import Transform


def jacobian_image(transform: Transform, geometry: Geometry) -> Image:
    """Local volume ratio of a whole transform, affine part included: 1 keeps the volume, 0 and less is a fold.

    The derivatives are those of the patient's space, so that axes of any direction and handedness give the same ratio.
    Uses NumPy, not `core.displacement`: loading torch into Slicer would block it for seconds.

    Args:
        transform: world -> world, RAS mm.
        geometry: grid on which it is sampled; central differences, one-sided at the border.
    """
    displacement = transform.to_displacement(geometry).array
    derivative = np.empty((3, 3, *geometry.shape), np.float32)
    for row in range(3):
        for axis in range(3):
            change = _derivative(displacement[..., row], axis)
            np.add(change, geometry.affine[row, axis], out=derivative[row, axis])
    a, b, c = derivative
    determinant = sum(a[i] * (b[j] * c[k] - b[k] * c[j]) for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)))
    ratio = determinant / np.float32(np.linalg.det(geometry.affine[:3, :3]))
    return Image(ratio, geometry, "Jacobian determinant")


def _derivative(values: np.ndarray, axis: int) -> np.ndarray:
    """Change per voxel along an axis; 0 where the axis has only one voxel."""
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)
