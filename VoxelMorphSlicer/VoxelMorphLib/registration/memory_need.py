"""The memory that a registration needs, estimated from the grids of its pair before it is computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core import memory
from ..core.errors import MemoryShortError
from ..core.image import Image
from .network_space import LARGEST_FIELD, network_grid, whole_grid
from .predictor import Predictor

#: Bytes for each voxel of both images: their copies while a start is searched for.
PER_IMAGE_VOXEL = 8
#: For each voxel of the fields on the fixed grid: two of them, and what samples and measures them.
PER_FIELD_VOXEL = 48
#: For each voxel of the grid on which the pair is compared, by a network, and by an optimisation at all its levels.
PER_NETWORK_VOXEL, PER_COMPARED_VOXEL = 77, 27
#: For each voxel of a network's grid beside its features: the images, the fields and what resamples them.
PER_NETWORK_IMAGE = 55
#: The same for each channel of the descriptors, while these are made.
PER_CHANNEL = 22
#: For each voxel of a network's grid, of both images on voxels half as large.
PER_DETAILED_VOXEL = 64
#: For each voxel of the finest level of an optimisation, and for each node of its velocity.
PER_FINEST_VOXEL, PER_FINEST_NODE = 150, 440
#: For each voxel of the grid of an optimisation, while its fields are made and the inverse becomes exact.
PER_FOUND_VOXEL = 100
CHANNELS = {"mind": 12}


def memory_need(fixed: Image, moving: Image, predictor: Predictor, exactly: bool = True) -> int:
    """Bytes of the computer's memory that a registration takes beside its images.

    Measured were peaks at 64 to 320 voxels along each axis, by `optimise` with all refinements and similarities, by
    `linear` and by bundled networks; the estimate was 0.7 to 1.2 of them. Of SynthMorph's networks, measured at 64 to
    128 voxels, it was 0.76 (affine) to 1.25 (joint) of what a voxel adds.

    Args:
        fixed, moving: the pair.
        predictor: its model.
        exactly: look at the contents of the image; else all of it counts, which takes no time and is more.
    """
    images = np.prod(fixed.array.shape) + np.prod(moving.array.shape)
    need = PER_IMAGE_VOXEL * int(images)
    if not predictor.deforms:
        return need
    fixed_voxels = int(np.prod(fixed.array.shape))
    after = PER_FIELD_VOXEL * min(fixed_voxels, LARGEST_FIELD) + 4 * fixed_voxels
    if predictor.device != "cpu":
        return max(need, after)
    if predictor.is_too_coarse(fixed, moving):
        return max(memory_need(fixed, moving, part, exactly) for part in predictor.apart())
    space = predictor.space(fixed, moving)
    grid = network_grid(fixed, space) if exactly else whole_grid(fixed.geometry, space)
    voxels = max(int(np.prod(grid.shape)), int(np.prod(space.shape or (1,))))
    detailed = PER_DETAILED_VOXEL * voxels if predictor.detail(fixed, moving) > 1 else 0
    return max(need, after, _while_compared(voxels, predictor) + detailed + 4 * fixed_voxels)


def check_memory_need(fixed: Image, moving: Image, predictor: Predictor, make_room: Callable[[], None]) -> None:
    """Refuse a registration that would not fit into the memory, instead of being ended in the middle of it.

    Args:
        fixed, moving: the pair.
        predictor: its model.
        make_room: frees what was only kept to be faster.

    Raises:
        MemoryShortError: less is free than it needs.
    """
    if fits(memory_need(fixed, moving, predictor, exactly=False)):
        return
    needed = memory_need(fixed, moving, predictor)
    if fits(needed):
        return
    make_room()
    free = memory.free_memory()
    if free is None or needed <= free:
        return
    shapes = " and ".join("x".join(map(str, image.array.shape)) for image in (fixed, moving))
    faster = ", choose the refinement fast" if predictor.optimiser is not None else ""
    raise MemoryShortError(
        f"To register volumes of {shapes} voxels with {predictor.entry.id} takes about {needed / 2**30:.2g} GiB of "
        f"memory, and {free / 2**30:.2g} GiB are free. Crop or downsample them{faster}, or close other programs."
    )


def fits(needed: int) -> bool:
    """Whether so many bytes are free, as far as that is known."""
    free = memory.free_memory()
    return free is None or needed <= free


def _while_compared(voxels: int, predictor: Predictor) -> int:
    optimiser = predictor.optimiser
    if optimiser is None:
        return _of_network(voxels, predictor)
    channels = CHANNELS.get(str(optimiser.similarity), 1)
    levels = optimiser.effort.levels
    affordable = [each for each in levels if voxels * channels / each.reduction**3 <= optimiser.effort.values]
    finest = min(affordable or levels[:1], key=lambda level: level.reduction)
    at_finest = PER_FINEST_VOXEL / finest.reduction**3 + PER_FINEST_NODE / finest.distance**3
    described = PER_CHANNEL * channels if channels > 1 else 0
    alone = max(int((PER_COMPARED_VOXEL + described + at_finest) * voxels), PER_FOUND_VOXEL * voxels)
    return alone if predictor.predict is None else max(alone, _of_network(voxels, predictor))


def _of_network(voxels: int, predictor: Predictor) -> int:
    if predictor.peak_bytes is None:
        return PER_NETWORK_VOXEL * voxels
    compared = 0 if predictor.by_features is None else predictor.by_features.compared_bytes(voxels)
    return PER_NETWORK_IMAGE * voxels + max(int(predictor.peak_bytes * voxels), compared)
