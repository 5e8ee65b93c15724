"""VxmStructureDetector: which structure every voxel of one image belongs to, whatever its contrast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .image_unet import ImageUnet


class VxmStructureDetector(ImageUnet):
    """A U-net that tells the probability of every structure, and the few channels by which two images are compared.

    It sees each image alone, so that two images of any contrasts have the same features where they show the same, and
    swapping them swaps their features. An optimisation of the pair brings the features together.

    Args:
        structures: labels of each structure, such as those of its left and right side; all else is background, 0.
        channels: numbers of the structures, from 1 on, that each channel of the features adds up; those that never
            touch can share one, which saves time. Structures in none of them help the U-net alone. Empty gives each a
            channel of its own.
        ndims: number of spatial axes.
        features: features of the U-net's levels on its way down, and of those on its way up from the coarsest one and
            then at full resolution.
        conv_per_level: convolutions of every level.
        in_channels: channels of each image.

    Raises:
        ConfigError: impossible values, or channels of unknown labels.

    Source: probabilities as features: Siebert, Hansen and Heinrich, Learn2Reg 2021, arXiv:2112.03053; images made of
    labels: Billot et al., Medical Image Analysis 2023, doi:10.1016/j.media.2023.102789.
    """

    def __init__(
        self,
        structures: Sequence[Sequence[int]],
        channels: Sequence[Sequence[int]] = (),
        ndims: int = 3,
        features: Sequence[Sequence[int]] = ((12, 24, 48, 64), (64, 48, 32, 24, 16)),
        conv_per_level: int = 2,
        in_channels: int = 1,
    ) -> None:
        super().__init__(1 + len(structures), ndims, features, conv_per_level, in_channels)
        self.structures = tuple(map(tuple, structures))
        self.channels = tuple(map(tuple, channels)) or tuple((n,) for n in range(1, 1 + len(self.structures)))
        named = [label for labels in self.structures for label in labels]
        if not named or not all(self.structures) or len(set(named)) < len(named) or min(named) < 1:
            raise ConfigError(f"The structures {self.structures} have no labels, or some twice or below 1.")
        outputs = 1 + len(self.structures)
        if not all(self.channels) or not {n for channel in self.channels for n in channel} <= set(range(1, outputs)):
            raise ConfigError(f"The channels {self.channels} do not name structures from 1 to {outputs - 1}.")
        self.feature_channels = len(self.channels)
        members = torch.tensor([[float(n in channel) for n in range(outputs)] for channel in self.channels])
        self.register_buffer("members", members, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logarithms of the odds (B, 1 + structures, *shape), float32, of the background and every structure.

        Arguments and errors as of `ImageUnet`.
        """
        return super().forward(image)

    def features(self, image: Tensor) -> Tensor:
        """(B, channels, *shape), 0 to 1: probability that a voxel belongs to the structures of each channel.

        Arguments and errors as `forward`.
        """
        return torch.einsum("kc,bc...->bk...", self.members, self(image).softmax(1))
