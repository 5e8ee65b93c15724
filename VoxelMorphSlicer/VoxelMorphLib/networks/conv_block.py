"""ConvBlock: one convolution of an encoder-decoder with its activation, pooling and joining with a skip connection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .convolution import activate, convolution, convolve, convolve_and_activate, max_pool, upsample
from .fused import can_fuse, convolve_and_pool, convolve_upsampled


class ConvBlock(nn.Module):
    """Convolution, optional residual sum, LeakyReLU.

    Args:
        ndims: number of spatial axes.
        in_channels, out_channels: features before and after.
        residual: add the input before the activation, through a second convolution where the channels differ.
        activation: apply LeakyReLU.
        dropout: share of the channels that are zero in training.
    """

    def __init__(
        self,
        ndims: int,
        in_channels: int,
        out_channels: int,
        residual: bool = False,
        activation: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.convolution = convolution(ndims, in_channels, out_channels)
        self.residual, self.activation, self.dropout = residual, activation, dropout
        self.projection = (
            convolution(ndims, in_channels, out_channels) if residual and in_channels != out_channels else None
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, in_channels, *shape) -> (B, out_channels, *shape)."""
        if self.activation and not self._is_special():
            return convolve_and_activate(image, self.convolution.weight, self.convolution.bias)
        result = convolve(image, self.convolution.weight, self.convolution.bias)
        if self.projection is not None:
            result = result + convolve(image, self.projection.weight, self.projection.bias)
        elif self.residual:
            result = result + image
        result = activate(result) if self.activation else result
        return drop_channels(result, self.dropout) if self.training and self.dropout else result

    def pooled(self, image: Tensor, factor: int) -> Tensor:
        """`max_pool(self(image))` for a result that serves no skip connection.

        Args:
            image: (B, in_channels, *shape).
            factor: of the pooling.
        """
        if can_fuse(image) and self.activation and not self._is_special():
            return convolve_and_pool(image, self.convolution.weight, self.convolution.bias, factor)
        return max_pool(self(image), factor)

    def joined(self, coarse: Tensor, skip: Tensor, factor: int) -> Tensor:
        """`self(concatenate(upsample(coarse), skip))`.

        Args:
            coarse: (B, C, *shape).
            skip: (B, in_channels - C, *(factor * shape)).
            factor: of the upsampling.
        """
        if can_fuse(coarse) and factor == 2 and not self._is_special():
            result = convolve_upsampled(coarse, skip, self.convolution.weight, self.convolution.bias)
            return activate(result) if self.activation else result
        return self(join(coarse, skip, factor))

    def _is_special(self) -> bool:
        return self.residual or (self.training and self.dropout > 0)


def join(coarse: Tensor, skip: Tensor, factor: int) -> Tensor:
    """(B, C, *shape) upsampled by `factor`, then the channels of `skip` (B, S, *(factor * shape)): (B, C + S, ...)."""
    return torch.cat([upsample(coarse, factor), skip], dim=1)


def drop_channels(image: Tensor, share: float) -> Tensor:
    """(B, C, *shape) with a random share of the channels zero and the others larger by as much."""
    kept = functional.dropout(image.new_ones(*image.shape[:2], *[1] * (image.ndim - 2)), share)
    return image * kept
