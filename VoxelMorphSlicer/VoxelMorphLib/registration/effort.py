"""How thoroughly a pair is optimised: its resolutions, their steps, and the voxel size that suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.config import NetworkSpace
from ..core.image import Image
from .network_space import network_grid

#: Voxels of the other image that are so many times as large or small as those of the first are taken into account.
OTHER_VOXELS = 1.5


@dataclass(frozen=True)
class Level:
    """One resolution of the optimisation.

    Args:
        reduction: image extents are divided by this.
        iterations: steps at most.
        spacing: voxels of the full image between two nodes of the velocity; by default twice the reduction.
    """

    reduction: int
    iterations: int
    spacing: float | None = None

    @property
    def distance(self) -> float:
        """Voxels of the full image between two nodes."""
        return self.spacing or 2.0 * self.reduction


@dataclass(frozen=True)
class Effort:
    """How thoroughly a pair is optimised.

    Args:
        levels: from zero, coarse to fine.
        refining: the levels that go on from a network's velocity.
        voxels: of the finest grid, about, at most.
        values: voxels times channels of a level, at most; finer ones are left out.
        squarings: in which a velocity is integrated while it is optimised.
        gradients: conjugate ones, by which the equations of a step are solved.
    """

    levels: tuple[Level, ...]
    refining: tuple[Level, ...]
    voxels: int
    values: int
    squarings: int = 5
    gradients: int = 5


EFFORTS = {
    "fast": Effort((Level(4, 15), Level(2, 8), Level(1, 4)), (Level(2, 5), Level(1, 4)), 4_500_000, 3_000_000),
    "balanced": Effort(
        (Level(4, 30), Level(2, 20), Level(1, 5, 1.5)), (Level(2, 10), Level(1, 5, 1.5)), 4_500_000, 6_000_000
    ),
    "best": Effort(
        (Level(4, 40), Level(2, 40), Level(1, 10, 1.0)), (Level(2, 20), Level(1, 10, 1.0)), 8_000_000, 30_000_000
    ),
}
#: The same after features of the pair were brought together, which leaves less to find, and shorter ways to go.
AFTER_FEATURES = EFFORTS | {
    "balanced": replace(
        EFFORTS["balanced"],
        refining=(Level(2, 6, 3.0), Level(1, 3, 1.5)),
        voxels=2_500_000,
        squarings=2,
        gradients=2,
    )
}


def optimiser_space(space: NetworkSpace, image: Image, other: Image, effort: Effort) -> NetworkSpace:
    """The space of the catalogue with the voxel size that suits a pair.

    That of the finest axis of `image`, which then keeps its voxels as they are; where the other image is much finer or
    coarser, in the middle of both. Coarser so that the part of the image with contents has about `Effort.voxels`
    voxels at most.

    Args:
        space: of the catalogue.
        image: on whose grid the pair is compared.
        other: that is brought there.
        effort: limits the voxels.
    """
    own, others = (finest_spacing(each) for each in (image, other))
    size = own if 1 / OTHER_VOXELS <= others / own <= OTHER_VOXELS else float(np.sqrt(own * others))
    voxels = np.prod(network_grid(image, replace(space, voxel_size=size)).shape)
    axes = np.count_nonzero(np.array(image.geometry.shape) > 1)
    return replace(space, voxel_size=size * max(1.0, float(voxels / effort.voxels) ** (1 / axes)))


def finest_spacing(image: Image) -> float:
    """mm, of the axes along which there is more than one voxel."""
    return float(image.geometry.spacing[np.array(image.geometry.shape) > 1].min())
