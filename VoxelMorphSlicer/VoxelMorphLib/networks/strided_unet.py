"""StridedUnet: the encoder-decoder of the 2018 networks, which halves by strided convolutions instead of pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .conv_block import ConvBlock
from .convolution import convolution, convolve_and_activate, network_input
from .same_padding import pad_same

#: Strided convolutions, and decoder convolutions up to the one at half resolution that follows the last of the skips.
_LEVELS, _COARSE = 4, 5


class StridedConvolution(nn.Module):
    """A convolution of stride two with TensorFlow's padding, LeakyReLU."""

    def __init__(self, ndims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution = convolution(ndims, in_channels, out_channels, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, *shape) -> (B, out_channels, *ceil(shape / 2))."""
        image = pad_same(image, [3] * (image.ndim - 2), 2)
        return convolve_and_activate(image, self.convolution.weight, self.convolution.bias, stride=2, padding=0)


class StridedUnet(nn.Module):
    """Four strided convolutions down; convolutions and nearest-neighbour upsampling with skips up.

    The fourth and fifth decoder convolution work at half resolution. At full resolution the input images themselves
    are the skip connection.

    Args:
        ndims: number of spatial axes, 1 to 3.
        in_channels: features of the input.
        encoder: features of the four strided convolutions.
        decoder: features of the five convolutions up to half resolution, then of one or two at full resolution.
        full_size: go up to full resolution; decoder features beyond the fifth have no meaning otherwise.

    Raises:
        ConfigError: another number of features.

    Source: Balakrishnan et al., CVPR 2018, arXiv:1802.02604, and the `legacy` branch of its code.
    """

    factors = (2,) * _LEVELS

    def __init__(
        self,
        ndims: int = 3,
        in_channels: int = 2,
        encoder: Sequence[int] = (16, 32, 32, 32),
        decoder: Sequence[int] = (32, 32, 32, 32, 32, 16, 16),
        full_size: bool = True,
    ) -> None:
        super().__init__()
        if ndims not in (1, 2, 3):
            raise ConfigError(f"A network works on 1, 2 or 3 axes, not on {ndims}.")
        decoder = decoder if full_size else decoder[:_COARSE]
        counts = (_COARSE + 1, _COARSE + 2) if full_size else (_COARSE,)
        if len(encoder) != _LEVELS or len(decoder) not in counts or min(*encoder, *decoder) < 1:
            raise ConfigError(
                f"The features {list(encoder)} and {list(decoder)} do not fit; the networks of 2018 have {_LEVELS} "
                f"encoder convolutions and {' or '.join(map(str, counts))} decoder convolutions."
            )
        self.ndims, self.full_size = ndims, full_size
        inputs = [in_channels, *encoder]
        self.encoder = nn.ModuleList(StridedConvolution(ndims, a, b) for a, b in zip(inputs, encoder))
        skips = [0, *reversed(encoder[:-1]), 0, in_channels, 0]
        inputs = [encoder[-1], *decoder]
        self.decoder = nn.ModuleList(ConvBlock(ndims, a + s, b) for a, s, b in zip(inputs, skips, decoder))
        self.out_channels = decoder[-1]

    @property
    def multiple(self) -> int:
        """Every extent of the input must be a multiple of this."""
        return 2**_LEVELS

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights and therefore of the activations."""
        return self.encoder[0].convolution.weight.dtype

    def forward(self, image: Tensor) -> Tensor:
        """Features of an image.

        Args:
            image: (B, in_channels, *shape), every extent a multiple of 16.

        Returns:
            (B, out_channels, *shape), or *(shape / 2) unless `full_size`; of the dtype of the weights.

        Raises:
            GeometryError: the number of axes or an extent does not fit.
        """
        image = network_input(image, self.ndims, self.multiple, self.dtype)
        levels = [image]
        for block in self.encoder:
            levels.append(block(levels[-1]))
        image = self.decoder[0](levels.pop())
        for block in self.decoder[1:_LEVELS]:
            image = block.joined(image, levels.pop(), 2)
        image = self.decoder[_LEVELS](image)
        if self.full_size:
            image = self.decoder[_COARSE].joined(image, levels.pop(), 2)
            for block in self.decoder[_COARSE + 1 :]:
                image = block(image)
        return image
