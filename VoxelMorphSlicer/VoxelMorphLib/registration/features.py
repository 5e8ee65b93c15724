"""FeatureRegistrar: two images are registered by what a network finds in each of them, and by their own edges."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ..core.image_resampling import background_of
from ..core.losses.mind import mind_descriptor, mind_of_blocks
from ..core.progress import Progress, silent
from ..core.tensors import as_array
from ..networks.fields import FieldPair
from ..networks.registrar import FeatureDetector
from .effort import EFFORTS, Effort, Level
from .listed_direction import ListedDirection
from .optimise import VelocityOptimiser
from .principal_channels import principal_channels
from .similarity import SIMILARITIES

#: Resolutions of the network's grid on which the features are brought together.
LEVELS = (Level(4, 8), Level(2, 6), Level(1, 4))
#: With the full resolution only where it has at most so many values: on more voxels it follows noise (T1 and T2 of one
#: head by the borders of synth-any, on 1.8 million voxels: 0.81 instead of 0.68 mm).
EFFORT = replace(EFFORTS["best"], levels=LEVELS, values=20_000_000, squarings=3)
#: Where the images themselves are compared afterwards, which finds again what more would.
BEFORE_REFINING = replace(EFFORT, levels=(*LEVELS[:-1], Level(1, 2)), gradients=3)
#: Squared difference of the features, which are their own texture.
OF_FEATURES = replace(
    SIMILARITIES["mse"],
    name="features",
    title="features that the network found in both images, and self-similarity",
    membrane=0.02,
    bending=0.01,
    features=lambda features: features,
)
#: Of the descriptors of the images themselves, beside features of 0 to 1: what a network finds says which part a voxel
#: belongs to, and self-similarity where edges lie that no part ends at, in any contrast too.
SELF_SIMILARITY = 0.8
#: The same of descriptors of finer voxels, which differ more between two people: they are means of fewer voxels.
OF_DETAILS = 0.65
#: Channels of these descriptors.
DESCRIBED = 12
#: Mixtures of all channels that are compared; they have 0.95 of what the channels vary by, about.
COMPARED = 16
#: Voxels are compared that differ by this from the background of their image, of 0 to 1, and two to four around them.
RISE = 0.05
#: Values of every channel that are alive at once, of both images, their mixtures and what compares these: measured at
#: 0.6 to 5 million voxels, where the full resolution is compared too, and where it has too many of them.
ALIVE, ALIVE_COARSER = 6.5, 4.0


class FeatureRegistrar:
    """A network that looks at each image alone as one that registers: its features of both are optimised to meet.

    Args:
        network: finds the features.
        smoothness: as of `VelocityOptimiser`.
        budget_s: seconds after which the search stops wherever it is.
        effort: `EFFORT`, or `BEFORE_REFINING`.

    Source: features of a network and an optimisation: Siebert, Hansen and Heinrich, Learn2Reg 2021, arXiv:2112.03053.
    """

    diffeomorphic = True

    def __init__(
        self,
        network: FeatureDetector,
        smoothness: float = 0.5,
        budget_s: float = 600.0,
        effort: Effort = EFFORT,
    ):
        self.network, self.smoothness, self.budget_s, self.effort = network, smoothness, budget_s, effort
        #: Whether the search of the last pair ended before it was done.
        self.out_of_time = False

    @property
    def multiple(self) -> int:
        """As of the network."""
        return self.network.multiple

    @property
    def peak_features(self) -> float:
        """As of the network."""
        return self.network.peak_features

    def compared_bytes(self, voxels: int) -> int:
        """That are alive while features on a grid of so many voxels are compared."""
        alive = ALIVE if voxels * COMPARED <= self.effort.values else ALIVE_COARSER
        return int(4 * alive * (self.network.feature_channels + DESCRIBED)) * voxels

    def fields(
        self,
        moving: Tensor,
        fixed: Tensor,
        details: tuple[Tensor, Tensor] | None = None,
        progress: Progress = silent,
    ) -> FieldPair:
        """The fields between images of one grid, one pair after the other.

        Args:
            moving, fixed: (B, C, *shape), about 0..1.
            details: the same two images, (B, C, *fine), of so many times as many voxels along each axis, whose own
                edges are looked at.
            progress: called at every step; may raise `Cancelled`.
        """
        moving_details, fixed_details = details or (moving, fixed)
        with torch.no_grad():
            parts = self._features(moving, moving_details), self._features(fixed, fixed_details)
            features = principal_channels(*parts, COMPARED)
            del parts
        smoothness = self.smoothness * (1.0 if details is None else self.network.detailed_smoothness)
        optimiser = VelocityOptimiser(smoothness, self.budget_s, OF_FEATURES, self.effort, direction=ListedDirection)
        found = optimiser.fields(*features, progress, around_contents(fixed), around_contents(moving))
        self.out_of_time = optimiser.out_of_time
        return found

    def _features(self, image: Tensor, detail: Tensor) -> tuple[Tensor, Tensor]:
        """Twice (B, channels, *shape), by which an image is compared: of the network, and its own texture."""
        reduction = detail.shape[2] // image.shape[2]
        own = self_similarity(detail, reduction).mul_(SELF_SIMILARITY if reduction == 1 else OF_DETAILS)
        return self.network.features(image), own


def around_contents(image: Tensor) -> Tensor:
    """(1, 1, *shape): 1 where an image (1, C, *shape) shows something and around that, everywhere if nothing does."""
    rises = (image - float(background_of(as_array(image[0, 0])))).abs().amax(1, keepdim=True) > RISE
    if not rises.any():
        return torch.ones_like(image[:, :1])
    blocks = functional.max_pool3d(rises.to(image.dtype), 2, ceil_mode=True)
    around = functional.interpolate(functional.max_pool3d(blocks, 3, stride=1, padding=1), scale_factor=2.0)
    return around[..., : image.shape[2], : image.shape[3], : image.shape[4]]


def self_similarity(image: Tensor, reduction: int) -> Tensor:
    """Descriptors of an image (B, C, *shape): (B, 12, *(shape / reduction))."""
    return mind_descriptor(image, radius=1, dilation=1) if reduction == 1 else mind_of_blocks(image, reduction)
