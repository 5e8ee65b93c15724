"""Transforms -> ITK's HDF5 files with fields in their own precision; ITK itself writes, and copies, double numbers.

Layout: ITK `itkHDF5TransformIO.cxx`; its reader converts numbers of any precision.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from .itk import LPS

if TYPE_CHECKING:
    import h5py


def can_write_hdf5() -> bool:
    """Whether the package for it is installed."""
    return find_spec("h5py") is not None


def write_hdf5(transform: Transform, path: Path) -> None:
    """Write any transform; takes little memory beside it.

    Raises:
        OSError: the disk is full or fails.
    """
    import h5py

    parts = transform.transforms if isinstance(transform, CompositeTransform) else (transform,)
    with h5py.File(path, "w") as file:
        if isinstance(transform, CompositeTransform):
            _begin(file, 0, "CompositeTransform")
        first = 1 if isinstance(transform, CompositeTransform) else 0
        for number, part in enumerate(reversed(parts), first):  # ITK applies the part added last first
            if isinstance(part, DisplacementField):
                _write_field(part, _begin(file, number, "DisplacementFieldTransform"))
            else:
                assert isinstance(part, AffineTransform)
                _write_affine(part, _begin(file, number, "AffineTransform"))


def _begin(file: h5py.File, number: int, kind: str) -> Any:
    group = file.create_group(f"TransformGroup/{number}")
    group.create_dataset("TransformType", data=np.array([f"{kind}_double_3_3"], object), dtype=_text())
    return group


def _text() -> np.dtype:
    import h5py

    return h5py.string_dtype("ascii")


def _write_affine(transform: AffineTransform, group: Any) -> None:
    matrix = LPS @ transform.matrix @ LPS
    group["TransformFixedParameters"] = np.zeros(3)
    group["TransformParameters"] = np.append(matrix[:3, :3], matrix[:3, 3])


def _write_field(field: DisplacementField, group: Any) -> None:
    geometry, flip = field.geometry, np.diag(LPS)[:3]
    direction = LPS[:3, :3] @ geometry.direction
    place = [geometry.shape, flip * geometry.origin, geometry.spacing, direction.ravel()]
    group["TransformFixedParameters"] = np.concatenate(place).astype(float)
    precision = np.float64 if field.array.dtype == np.float64 else np.float32
    numbers = group.create_dataset("TransformParameters", (field.array.size,), precision)
    length = 3 * geometry.shape[0] * geometry.shape[1]
    for k in range(geometry.shape[2]):
        layer = field.array[:, :, k].swapaxes(0, 1) * flip  # I fastest
        numbers[k * length : (k + 1) * length] = layer.astype(precision).ravel()
