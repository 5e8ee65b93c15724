"""First weights of a dense network by which two images of one contrast move towards each other before it is trained.

The force of demons is the difference of the images times the gradient of their mean. A product p q is sampled by the
LeakyReLU of its four sums p + q, -p - q, p - q and q - p: the first two less the last two grow with the smaller of |p|
and |q| and have its sign. The following convolutions average, and the last one takes the difference.

Source: Thirion, Medical Image Analysis 1998, doi:10.1016/S1361-8415(98)80022-4.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from ..networks.conv_block import ConvBlock
from ..networks.dense import VxmDense

#: Signs of p and q in the features of one axis; and those of the features in the velocity.
SUMS, SIGNS = ((1, 1), (-1, -1), (1, -1), (-1, 1)), (-1.0, -1.0, 1.0, 1.0)
#: Weights of p and q, which bring usual differences and gradients to one size, near that of other features.
CONTRAST, SLOPE = 3.0, 2.5
#: Share that the random weights of other features keep.
KEPT = 0.3


@torch.no_grad()
def start_with_demons(network: nn.Module) -> None:
    """Fill a network of random weights in place.

    Raises:
        ConfigError: the network is no plain VxmDense of two images of one channel, or has too few features.
    """
    if not isinstance(network, VxmDense) or (network.moving_features, network.fixed_features) != (1, 1):
        raise ConfigError("First weights of demons are for networks of two images. Set first_weights random.")
    count = len(SUMS) * network.unet.ndims
    blocks = network.unet.blocks
    if any(block.convolution.out_channels < count or block.residual for block in blocks):
        raise ConfigError(
            f"First weights of demons need {count} features in every convolution; encoder and decoder have fewer. "
            "Raise them, or set first_weights random."
        )
    _sums(blocks[0], network.unet.ndims)
    before = blocks[0].convolution.out_channels
    for block in blocks[1:]:
        channels = block.convolution.in_channels
        _average(block, count, [0] if channels == before else [0, before])  # what is joined by a skip comes second
        before = block.convolution.out_channels
    weight = network.flow.weight.zero_()
    centre = (1,) * network.unet.ndims
    for axis, (number, sign) in product(range(network.unet.ndims), enumerate(SIGNS)):
        weight[(axis, len(SUMS) * axis + number, *centre)] = sign


def _sums(block: ConvBlock, ndims: int) -> None:
    """The first features: the four sums of every axis."""
    weight, bias = block.convolution.weight, block.convolution.bias
    difference = weight.new_zeros(weight.shape[1:])
    centre = (1,) * ndims
    difference[(0, *centre)], difference[(1, *centre)] = CONTRAST, -CONTRAST
    for axis in range(ndims):
        gradient = torch.zeros_like(difference)
        for end, value in ((2, SLOPE), (0, -SLOPE)):
            gradient[(slice(None), *(end if other == axis else 1 for other in range(ndims)))] = value
        for number, (of_difference, of_gradient) in enumerate(SUMS):
            weight[len(SUMS) * axis + number] = of_difference * difference + of_gradient * gradient
    _clear(bias, len(SUMS) * ndims)


def _average(block: ConvBlock, count: int, starts: list[int]) -> None:
    """Each of the first features becomes the local mean of the same feature of the parts that begin at `starts`."""
    weight = block.convolution.weight
    weight[:count] = 0
    weight[count:] *= KEPT
    share = 1 / (weight[0, 0].numel() * len(starts))
    for start, feature in product(starts, range(count)):
        weight[feature, start + feature] = share
    _clear(block.convolution.bias, count)


def _clear(bias: Tensor | None, count: int) -> None:
    if bias is not None:
        bias[:count] = 0
