"""VxmStructureDetector: structures, and perhaps borders, in one image of any contrast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .borders import tensor_products
from .image_unet import ImageUnet

#: What tensors of borders are multiplied with beside the probabilities: with more of them the cortices of two people
#: come nearer to each other, and two contrasts of one head do not.
WEIGHT = 2.0
#: Of the U-net's outputs that become tensors of borders: with it they need the size of the logarithms of odds.
SCALE = 0.02
#: Voxels whose probabilities are computed at a time, which stay in a processor's cache.
ROWS = 2**14


class VxmStructureDetector(ImageUnet):
    """A U-net that tells the probability of every structure, and the few channels by which two images are compared.

    It may find the tensors of borders besides, see `VxmBorderDetector`, which lie inside structures too.

    It sees each image alone, so that two images of any contrasts have the same features where they show the same, and
    swapping them swaps their features. An optimisation of the pair brings the features together.

    Args:
        structures: labels of each structure, such as those of its left and right side; all else is background, 0.
        channels: numbers of the structures, from 1 on, that each channel of the features adds up; those that never
            touch can share one, which saves time. Structures in none of them help the U-net alone. Empty gives each a
            channel of its own.
        borders: find tensors of borders too.
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

    #: As of `FeatureDetector`: the cortices of two people differ by larger strains than coarse voxels tell surely.
    detailed_smoothness = 0.25

    def __init__(
        self,
        structures: Sequence[Sequence[int]],
        channels: Sequence[Sequence[int]] = (),
        borders: bool = False,
        ndims: int = 3,
        features: Sequence[Sequence[int]] = ((12, 24, 48, 64), (64, 48, 32, 24, 16)),
        conv_per_level: int = 2,
        in_channels: int = 1,
    ) -> None:
        products = tensor_products(ndims) if borders else 0
        super().__init__(1 + len(structures) + products, ndims, features, conv_per_level, in_channels)
        self.structures = tuple(map(tuple, structures))
        self.borders = borders
        self.channels = tuple(map(tuple, channels)) or tuple((n,) for n in range(1, 1 + len(self.structures)))
        named = [label for labels in self.structures for label in labels]
        if not named or not all(self.structures) or len(set(named)) < len(named) or min(named) < 1:
            raise ConfigError(f"The structures {self.structures} have no labels, or some twice or below 1.")
        outputs = 1 + len(self.structures)
        if not all(self.channels) or not {n for channel in self.channels for n in channel} <= set(range(1, outputs)):
            raise ConfigError(f"The channels {self.channels} do not name structures from 1 to {outputs - 1}.")
        self.feature_channels = len(self.channels) + products
        members = torch.tensor([[float(n in channel) for n in range(outputs)] for channel in self.channels])
        self.register_buffer("members", members, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1 + structures, *shape), float32: logarithms of the odds of the background and of every structure.

        The tensors of the borders stand behind them, if there are any. Arguments and errors as of `ImageUnet`.
        """
        found = super().forward(image)
        found[:, 1 + len(self.structures) :] *= SCALE
        return found

    def features(self, image: Tensor) -> Tensor:
        """(B, channels, *shape): probability that a voxel belongs to the structures of each channel, 0 to 1.

        The tensors of the borders, times their weight, stand behind them. Arguments and errors as `forward`.
        """
        found = self.outputs(image).movedim(1, -1)  # where the channels of a voxel lie beside each other, as rows
        rows = found.flatten(0, -2)
        compared = torch.empty(len(rows), self.feature_channels, device=found.device)
        for start in range(0, len(rows), ROWS):
            part = slice(start, start + ROWS)
            odds, borders = self.parts(rows[part].float())
            compared[part, : len(self.channels)] = odds.softmax(1) @ self.members.T
            compared[part, len(self.channels) :] = WEIGHT * SCALE * borders
        return compared.view(*found.shape[:-1], -1).movedim(-1, 1)

    def parts(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` returns, the logarithms of the odds and the tensors apart."""
        odds = 1 + len(self.structures)
        return found[:, :odds], found[:, odds:]
