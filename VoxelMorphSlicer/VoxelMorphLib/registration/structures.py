"""StructureRegistrar: two images are registered by the structures that a network finds in each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.geometry import Geometry
from ..core.progress import Progress, silent
from ..core.spatial import sample_at
from ..core.tensors import as_tensor
from ..networks.fields import FieldPair
from ..networks.structures import VxmStructureDetector
from .effort import Level
from .guides import Guides
from .optimise import VelocityOptimiser
from .similarity import SIMILARITIES

#: Resolutions of the network's grid on which its features are brought together.
LEVELS = (Level(2, 8), Level(1, 2, 1.5))
#: Squared difference of the probabilities, which are their own texture.
OF_STRUCTURES = replace(
    SIMILARITIES["mse"],
    name="structures",
    title="structures that the network found in both images",
    membrane=0.05,
    bending=0.02,
    features=lambda features: features,
)


class StructureRegistrar:
    """A detector of structures as a registration network: its features of both images are optimised to meet.

    Args:
        network: the detector.
        smoothness: as of `VelocityOptimiser`.
        budget_s: seconds after which the search stops wherever it is.
    """

    diffeomorphic = True

    def __init__(self, network: VxmStructureDetector, smoothness: float = 0.5, budget_s: float = 600.0):
        self.network = network
        self.optimiser = VelocityOptimiser(smoothness, budget_s, OF_STRUCTURES, "best", LEVELS)

    @property
    def multiple(self) -> int:
        """As of the network."""
        return self.network.multiple

    @property
    def peak_features(self) -> float:
        """As of the network."""
        return self.network.peak_features

    def fields(self, moving: Tensor, fixed: Tensor, progress: Progress = silent) -> FieldPair:
        """The fields between images of one grid, one pair after the other.

        Args:
            moving, fixed: (B, C, *shape), about 0..1.
            progress: called at every step; may raise `Cancelled`.
        """
        with torch.no_grad():
            features = self.network.features(moving), self.network.features(fixed)
        return replace(self.optimiser.fields(*features, progress), features=features)


def with_structures(
    guides: Guides | None, pair: FieldPair, own: Geometry | None = None, grid: Geometry | None = None
) -> Guides | None:
    """The guides of an optimisation, and the structures that a network found in both images.

    Args:
        guides: others; None without.
        pair: of the network.
        own: its grid; None where the optimisation has the same one.
        grid: of the optimisation.

    Returns:
        `guides` itself where the network found none.
    """
    if pair.features is None:
        return guides
    moving, fixed = pair.features
    block = (1,) * (fixed.ndim - 2)
    if own is not None and grid is not None:
        block = tuple(int(n) for n in np.clip(np.round(own.spacing / grid.spacing), 1, grid.shape))
        moving, fixed = (_on_blocks(features, own, grid, block) for features in (moving, fixed))
    return (guides or Guides(None, None)).with_structures((fixed, moving, block))


def _on_blocks(features: Tensor, own: Geometry, grid: Geometry, block: tuple[int, ...]) -> Tensor:
    """Features (1, C, *own.shape) in the middles of blocks of the voxels of another grid."""
    places = np.meshgrid(*(np.arange(n // b) * b + (b - 1) / 2 for n, b in zip(grid.shape, block)), indexing="ij")
    voxels = own.world_to_voxel(grid.voxel_to_world(np.stack(places, axis=-1)))
    return sample_at(features, as_tensor(np.moveaxis(voxels, -1, 0), torch.float32)[None].to(features.device))
