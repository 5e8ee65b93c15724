"""Cases on the disk -> tensors in the training space, by the same code that prepares a registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...core.config import NetworkSpace
from ...core.errors import ImageError
from ...core.geometry import Geometry
from ...core.image import Image, check_registrable
from ...core.io.images import read_image, read_label_map
from ...core.transform import IDENTITY
from ...registration.network_space import encode, network_grid, whole_grid
from .case import Case
from .labels import chosen


@dataclass(frozen=True)
class Prepared:
    """One case in the training space.

    Args:
        image: (C, *shape), float32.
        labels: (1, *shape), int16, or None.
        extras: what the recipe derived from both, by name.
    """

    image: Tensor
    labels: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSpace:
    """The grid, intensities and labels of all tensors of a training.

    Args:
        space: with its `shape`.
        labels: values that are kept.
        merges: values that are read as others.
    """

    space: NetworkSpace
    labels: tuple[int, ...] = ()
    merges: Mapping[int, int] = field(default_factory=dict)

    def prepare(self, case: Case) -> Prepared:
        """Read a case and bring it onto its grid; the label map by nearest neighbour.

        Raises:
            ImageError: a file cannot be read, holds nothing, or image and label map lie at different places.
            GeometryError: an impossible position in a file.
        """
        image = read_image(case.image)
        check_registrable(image, "training")
        grid = training_grid(image, self.space)
        tensor = encode(image, grid, self.space)[0]
        if not tensor.any():
            raise ImageError(f"{case.image} is constant where it lies in the training space. Choose another image.")
        if case.labels is None or not self.labels:
            return Prepared(tensor)
        labels = IDENTITY.resample(read_label_map(case.labels), grid).array
        kept = chosen(labels, self.labels, self.merges, str(case.labels))
        return Prepared(tensor, torch.from_numpy(kept)[None])


def training_grid(image: Image, space: NetworkSpace) -> Geometry:
    """`network_grid`, cut about its middle to the extents that all images of a training share."""
    grid = network_grid(image, space)
    surplus = (np.array(grid.shape) - np.array(space.shape)) // 2
    return grid.shifted(surplus, space.shape) if surplus.any() or grid.shape != tuple(space.shape) else grid


def extents(geometry: Geometry, space: NetworkSpace) -> tuple[int, ...]:
    """How many voxels of the training space an image fills along its axes."""
    return whole_grid(geometry, replace(space, shape=None)).shape


def common_shape(all_extents: Sequence[Sequence[int]], multiple: int) -> tuple[int, ...]:
    """The smallest shape that holds every image and that the network's levels divide."""
    largest = np.max(np.array(all_extents), axis=0)
    return tuple(int(n) for n in -(-largest // multiple) * multiple)
