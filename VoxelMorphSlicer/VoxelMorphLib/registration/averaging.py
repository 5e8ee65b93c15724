"""An image on coarser voxels that are means of whole blocks of its own."""

from __future__ import annotations

import numpy as np

from ..core.geometry import Geometry
from ..core.image import Image
from ..core.reduced_volume import reduced_volume


def averaged(image: Image, blocks: np.ndarray, low: float = -np.inf, high: float = np.inf) -> Image:
    """The image, or a mask as an image, on whole blocks of its voxels.

    Args:
        image: any.
        blocks: (3,), voxels of a block along each axis; those at the far ends may be cut off.
        low, high: what lies beyond is taken for this first.

    Returns:
        float32, on the grid of the middles of the blocks.
    """
    array = reduced_volume(image.array, blocks, low, high)
    affine = image.geometry.affine.copy()
    affine[:3, 3] = image.geometry.voxel_to_world((blocks - 1) / 2)
    affine[:3, :3] *= blocks
    return Image(array, Geometry(array.shape, affine), image.name)
