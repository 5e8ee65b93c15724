"""A volume on larger voxels, averaged a slab at a time, so that a large one is never copied in single precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.nn import functional

from .tensors import as_array, as_tensor

#: Voxels of a slab, about.
SLAB_VOXELS = 1 << 22


def reduced_volume(
    array: np.ndarray, blocks: Sequence[int] | np.ndarray, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Means over blocks; those at the far ends, which the array does not fill, count what is there.

    Args:
        array: (I, J, K), any real type.
        blocks: voxels of a block along each axis.
        low, high: values beyond are taken for these first.

    Returns:
        (ceil(I / blocks[0]), ...), float32.
    """
    size = tuple(int(n) for n in blocks)
    means = np.empty([-(-n // block) for n, block in zip(array.shape, size)], np.float32)
    planes = max(1, SLAB_VOXELS // (array[0].size * size[0]))
    for start in range(0, len(means), planes):
        slab = np.ascontiguousarray(array[start * size[0] : (start + planes) * size[0]], dtype=np.float32)
        if np.isfinite(low) or np.isfinite(high):
            slab = np.clip(slab, np.float32(low), np.float32(high))
        means[start : start + planes] = _pooled(slab, size)
    return means


def _pooled(slab: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if max(size) == 1:
        return slab
    size = tuple(map(min, size, slab.shape))  # pooling refuses fewer voxels than one block has
    return as_array(functional.avg_pool3d(as_tensor(slab)[None], size, ceil_mode=True)[0])
