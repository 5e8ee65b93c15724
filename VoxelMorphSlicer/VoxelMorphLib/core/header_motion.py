"""Motion of a volume by its header: the voxels stay as they are, their place in the patient changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from .errors import GeometryError
from .series import Volume
from .transform import Transform

AnyVolume = TypeVar("AnyVolume", bound=Volume)


def moved_header(volume: AnyVolume, transform: Transform) -> AnyVolume:
    """A moving volume where a transform puts it, without interpolation.

    Args:
        volume: in the moving space; its array is shared.
        transform: fixed -> moving, linear.

    Raises:
        GeometryError: the transform bends or shears the volume, which a header cannot tell.
    """
    matrix = transform.as_matrix()
    if matrix is None:
        raise GeometryError(
            "The transform bends the volume, which a header cannot tell. Leave headerOnly off, or register rigidly."
        )
    try:
        geometry = volume.geometry.moved(np.linalg.inv(matrix))
    except GeometryError as error:
        raise GeometryError(
            f"The transform shears the volume {volume.name}, which a header cannot tell. Leave headerOnly off, or "
            "register rigidly."
        ) from error
    return replace(volume, geometry=geometry)
