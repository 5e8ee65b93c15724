"""StructureRegistrar: two images are registered by the structures that a network finds in each of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core.progress import Progress, silent
from ..networks.fields import FieldPair
from ..networks.structures import VxmStructureDetector
from .effort import Level
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
        return self.optimiser.fields(*features, progress)
