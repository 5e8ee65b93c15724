"""Unet: the encoder-decoder of VoxelMorph, images in, features out; it knows nothing about registration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.config import PRECISIONS
from ..core.errors import ConfigError
from ..core.options import check_choice
from .conv_block import ConvBlock, join
from .convolution import max_pool, network_input

#: Features of the encoder and of the decoder unless others are asked for.
DEFAULT_FEATURES = ((16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16))

Features = tuple[tuple[int, ...], tuple[int, ...]]


def _softmax(image: Tensor) -> Tensor:
    return torch.softmax(image, dim=1)


FINAL_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda image: image,
    "softmax": _softmax,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
}


def feature_lists(
    features: int | Sequence[Sequence[int]] | None,
    levels: int | None,
    multiplier: float,
    conv_per_level: int,
    upsample_skips: int = 0,
) -> Features:
    """Features of every convolution of encoder and decoder, as `Unet` describes its arguments.

    Raises:
        ConfigError: a number is missing, superfluous or not positive.
    """
    if features is None and levels is None:
        features = DEFAULT_FEATURES
    if (levels is not None) != isinstance(features, int):
        raise ConfigError(f"features={features} and levels={levels} do not fit; give both numbers, or two lists.")
    if isinstance(features, int):
        per_level = [round(features * multiplier**level) for level in range(levels)]
        features = (
            [n for n in per_level[:-1] for _ in range(conv_per_level)],
            [n for n in reversed(per_level) for _ in range(conv_per_level)],
        )
    positive = all(isinstance(n, int) and n > 0 for part in features for n in part)
    if len(features) != 2 or not features[0] or not positive:
        raise ConfigError(f"The features {features} are not two lists of positive numbers, encoder and decoder.")
    encoder, decoder = (tuple(part) for part in features)
    fewest = len(encoder) - upsample_skips * conv_per_level
    if conv_per_level < 1 or len(encoder) % conv_per_level or len(decoder) < max(fewest, 1):
        raise ConfigError(
            f"{len(encoder)} encoder and {len(decoder)} decoder convolutions do not fit {conv_per_level} per level; "
            "the encoder needs a multiple of it, the decoder at least as many for every level that is upsampled."
        )
    return encoder, decoder


class Unet(nn.Module):
    """Convolutions and max pooling down, convolutions and nearest-neighbour upsampling with skips up.

    In the decoder a level's convolution comes before the upsampling; the first one is the bottleneck. Decoder features
    beyond the encoder's number belong to convolutions at the final resolution.

    Args:
        ndims: number of spatial axes, 1 to 3.
        in_channels: features of the input.
        features: (encoder, decoder) features of every convolution, finest level first in the encoder, coarsest first
            in the decoder; a number for the finest level with `levels`; None takes DEFAULT_FEATURES.
        levels: number of resolutions, bottleneck included, when `features` is a number.
        multiplier: growth of that number from level to level.
        conv_per_level: convolutions per level.
        pooling: factor between levels, or one per level, finest first.
        upsample_skips: how many of the last upsamplings are left out; 1 gives features at half resolution.
        residual: residual convolutions, except the final ones.
        final_activation: replaces the LeakyReLU of the last convolution; one of FINAL_ACTIVATIONS.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Ronneberger et al., MICCAI 2015; Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538.
    """

    def __init__(
        self,
        ndims: int = 3,
        in_channels: int = 2,
        features: int | Sequence[Sequence[int]] | None = None,
        levels: int | None = None,
        multiplier: float = 1.0,
        conv_per_level: int = 1,
        pooling: int | Sequence[int] = 2,
        upsample_skips: int = 0,
        residual: bool = False,
        final_activation: str | None = None,
    ) -> None:
        super().__init__()
        if ndims not in (1, 2, 3):
            raise ConfigError(f"A network works on 1, 2 or 3 axes, not on {ndims}.")
        if final_activation is not None and final_activation not in FINAL_ACTIVATIONS:
            raise ConfigError(
                f"final_activation is {final_activation!r}; choose one of {', '.join(FINAL_ACTIVATIONS)}."
            )
        encoder, decoder = feature_lists(features, levels, multiplier, conv_per_level, upsample_skips)
        depth = len(encoder) // conv_per_level
        if not 0 <= upsample_skips <= depth:
            raise ConfigError(f"upsample_skips is {upsample_skips}; a network of {depth} levels allows 0 to {depth}.")
        self.ndims, self.upsample_skips = ndims, upsample_skips
        self.factors = _pool_factors(pooling, depth)
        self.final_activation = FINAL_ACTIVATIONS[final_activation] if final_activation else None
        skips = self._build_encoder(in_channels, encoder, conv_per_level, residual)
        self._build_decoder(skips, decoder, conv_per_level, residual)

    @property
    def multiple(self) -> int:
        """Every extent of the input must be a multiple of this."""
        return prod(self.factors)

    @property
    def reduction(self) -> int:
        """How many times coarser than the input the output is."""
        return prod(self.factors[: self.upsample_skips])

    @property
    def peak_features(self) -> float:
        """Most values alive at once while it runs without gradients on the CPU, for each voxel of its input."""
        return max(self._alive())

    @property
    def blocks(self) -> list[ConvBlock]:
        """All convolutions in their order."""
        return [block for blocks in (*self.encoder, *self.decoder, self.final) for block in blocks]

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights and therefore of the activations."""
        return self.encoder[0][0].convolution.weight.dtype

    def forward(self, image: Tensor) -> Tensor:
        """Features of an image.

        Args:
            image: (B, in_channels, *shape), every extent a multiple of `multiple`.

        Returns:
            (B, out_channels, *(shape / reduction)), of the dtype of the weights.

        Raises:
            GeometryError: the number of axes or an extent does not fit.
        """
        image = network_input(image, self.ndims, self.multiple, self.dtype)
        image, skips = self._encode(image)
        return self._decode(image, skips)

    def _encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest features, and the skip connections that the decoder joins, finest first."""
        skips = []
        for level, (blocks, factor) in enumerate(zip(self.encoder, self.factors)):
            for block in blocks[:-1]:
                image = block(image)
            if level < self.upsample_skips:
                image = blocks[-1].pooled(image, factor)
            else:
                skips.append(blocks[-1](image))
                image = max_pool(skips[-1], factor)
        return image, skips

    def _decode(self, image: Tensor, skips: list[Tensor]) -> Tensor:
        """The convolution after an upsampling takes the coarse features and the skip, so that both can be fused."""
        factor = 0  # of the upsampling that the next convolution, or the end, has to make up for
        for level, blocks in enumerate([*self.decoder, self.final]):
            for block in blocks:
                image = block.joined(image, skips.pop(), factor) if factor else block(image)
                factor = 0
            if skips and level < len(self.decoder):
                factor = self.factors[len(self.decoder) - 1 - level]
        if factor:
            image = join(image, skips.pop(), factor)
        return self.final_activation(image) if self.final_activation else image

    def _alive(self) -> Iterator[float]:
        """At every step: what it reads, what it writes, and the skip connections that wait; per voxel of the input."""
        share, skips = 1.0, []
        image = float(self.encoder[0][0].convolution.in_channels)
        for level, (blocks, factor) in enumerate(zip(self.encoder, self.factors)):
            coarser = share / factor**self.ndims
            for block in blocks:
                fused = level < self.upsample_skips and block is blocks[-1]
                written = block.convolution.out_channels * (coarser if fused else share)
                yield sum(skips) + image + written
                image = written
            if level >= self.upsample_skips:
                skips.append(image)
                image *= coarser / share
                yield sum(skips) + image
            share = coarser
        for level, blocks in enumerate([*self.decoder, self.final]):
            for block in blocks:
                written = block.convolution.out_channels * share
                yield sum(skips) + image + written
                if level and block is blocks[0] and skips:
                    skips.pop()
                image = written
            if skips and level < len(self.decoder):
                share *= self.factors[len(self.decoder) - 1 - level] ** self.ndims

    def _build_encoder(self, channels: int, features: Sequence[int], conv_per_level: int, residual: bool) -> list[int]:
        """Fill `encoder`; returns the features of every skip connection, finest first, and of the last convolution."""
        self.encoder = nn.ModuleList()
        ends = []
        for start in range(0, len(features), conv_per_level):
            blocks = nn.ModuleList()
            for wanted in features[start : start + conv_per_level]:
                blocks.append(ConvBlock(self.ndims, channels, wanted, residual))
                channels = wanted
            self.encoder.append(blocks)
            ends.append(channels)
        return ends

    def _build_decoder(self, skips: list[int], features: Sequence[int], conv_per_level: int, residual: bool) -> None:
        self.decoder, self.final = nn.ModuleList(), nn.ModuleList()
        depth, channels = len(skips), skips[-1]
        for level in range(depth + 1):
            count = conv_per_level if level < depth else len(features)
            blocks = self.final if level == depth else nn.ModuleList()
            for wanted in features[:count]:
                blocks.append(ConvBlock(self.ndims, channels, wanted, residual and level < depth))
                channels = wanted
            features = features[count:]
            if level < depth:
                self.decoder.append(blocks)
            if level < depth - self.upsample_skips:
                channels += skips[depth - 1 - level]
        self.out_channels = channels
        if self.final_activation:
            self.blocks[-1].activation = False


def _pool_factors(pooling: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """One factor per level.

    A list may hold one more, as that of the original does.
    """
    factors = (pooling,) * depth if isinstance(pooling, int) else tuple(int(f) for f in pooling)[:depth]
    if len(factors) != depth or min(factors) < 1:
        raise ConfigError(f"pooling is {pooling}; give one positive factor, or {depth}, one per level.")
    return factors


def unet_precision(network: object) -> str:
    """That of the encoder-decoders of a registration network, see `set_unet_precision`; "float32" without one."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    unets = (module.unet for module in modules if isinstance(getattr(module, "unet", None), nn.Module))
    halved = any(weights.dtype == torch.bfloat16 for unet in unets for weights in unet.parameters())
    return "bfloat16" if halved else "float32"


def set_unet_precision(network: nn.Module, precision: str) -> nn.Module:
    """Give the encoder-decoders of a registration network weights and activations of `precision`, in place.

    The convolution that predicts the velocity, sampling, integration and warps stay in float32.

    Args:
        network: nothing changes in one without an encoder-decoder `unet`, its own or a part's.
        precision: "float32" or "bfloat16"; going to bfloat16 and back loses the digits in between.

    Returns:
        `network`.

    Raises:
        ConfigError: unknown precision.
    """
    check_choice("precision", precision, PRECISIONS)
    for module in network.modules():
        if isinstance(getattr(module, "unet", None), nn.Module):
            module.unet.to(getattr(torch, precision))
    return network
