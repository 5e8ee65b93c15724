"""Displacement fields in NumPy archives of the original VoxelMorph: `vol`, in voxels, and our `affine` for the place.

The original reads and writes `vol` alone, (I, J, K, 3) along the axes of the fixed grid; its archives have no position.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import GeometryError, UnplacedFieldError
from ..geometry import Geometry
from ..transform import DisplacementField
from .files import naming
from .npz import IMAGE_KEYS, read_npz, write_npz

FIELD_ARCHIVE = ".npz"


def read_npz_field(path: Path | str) -> DisplacementField:
    """Read a field that has a position, RAS mm.

    Raises:
        UnplacedFieldError: no position.
        GeometryError: not vectors of three components.
        ImageError: missing or damaged file.
    """
    voxels, affine = read_npz(path, are_axes_kept=True)
    if affine is None:
        raise UnplacedFieldError(
            f"{path} holds voxel displacements without a position. Give the fixed image it belongs to with it."
        )
    if voxels.ndim != 4 or voxels.shape[-1] != 3 or voxels.dtype.kind not in "iuf":
        raise GeometryError(
            f"{path} is not a displacement field: it holds {voxels.dtype} with the shape {voxels.shape} instead of "
            "(I, J, K, 3). Choose a displacement field or another kind of transform file."
        )
    with naming(path):
        geometry = Geometry(voxels.shape[:3], affine)
        return DisplacementField((voxels @ affine[:3, :3].T).astype(np.float32), geometry)


def write_npz_field(field: DisplacementField, scratch: Path) -> None:
    """Write a field in voxels of its grid, float32, as the original stores it, and the place of the grid."""
    to_voxels = field.geometry.world_to_voxel_affine[:3, :3]
    write_npz(scratch, (field.array @ to_voxels.T).astype(np.float32), field.geometry.affine, IMAGE_KEYS[0])
