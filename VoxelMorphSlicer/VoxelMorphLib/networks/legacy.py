"""VxmCvpr2018 and VxmMiccai2018: the networks of the first two papers, so that their published weights run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .conv_block import ConvBlock
from .convolution import convolution, convolve_and_activate, network_input
from .dense import RegistrationNetwork
from .fields import FieldPair
from .padding import pad_same

#: (encoder, decoder) features of the CVPR-2018 networks by their published names.
CVPR_FEATURES = {
    "vm1": ((16, 32, 32, 32), (32, 32, 32, 32, 8, 8)),
    "vm2": ((16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16)),
    "vm2double": ((32, 64, 64, 64), (64, 64, 64, 64, 64, 32, 32)),
}

#: Features of the MICCAI-2018 network.
MICCAI_FEATURES = ((16, 32, 32, 32), (32, 32, 32, 32, 16))

#: Strided convolutions, and decoder convolutions up to the one at half resolution that follows the last of the skips.
_LEVELS, _COARSE = 4, 5


class VxmCvpr2018(RegistrationNetwork):
    """Predicts a displacement at full resolution; nothing is integrated, so it may fold and has no exact inverse.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features: (encoder, decoder), or a name of CVPR_FEATURES.

    Raises:
        ConfigError: unknown name or impossible features.

    Source: Balakrishnan et al., CVPR 2018, arXiv:1802.02604.
    """

    def __init__(self, ndims: int = 3, features: str | Sequence[Sequence[int]] = "vm2") -> None:
        if isinstance(features, str):
            if features not in CVPR_FEATURES:
                raise ConfigError(
                    f"There is no network {features!r} of 2018; choose one of {', '.join(CVPR_FEATURES)}."
                )
            features = CVPR_FEATURES[features]
        encoder, decoder = features
        super().__init__(StridedUnet(ndims, 2, encoder, decoder), int_steps=0)


class VxmMiccai2018(RegistrationNetwork):
    """Predicts mean and variance of a velocity at half resolution; fields are resized as its code did in 2018.

    The published network drew its velocity also at test time; here it takes the mean unless a sample is asked for.

    Args:
        ndims: number of spatial axes, 1 to 3.
        features: (encoder, decoder); decoder features beyond the fifth are ignored.
        int_steps: squarings of the integration.
        bidir: return the inverse and the moved fixed image too.
        original: as the very first code: the convolutions predict the velocity divided by 2^int_steps, which is
            squared without being scaled, and give the second component before the first ("xy"). The variance is that
            of this small velocity.
        moving_features, fixed_features: channels of the two images.

    Raises:
        ConfigError: impossible features.

    Source: Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82.
    """

    def __init__(
        self,
        ndims: int = 3,
        features: Sequence[Sequence[int]] = MICCAI_FEATURES,
        int_steps: int = 7,
        bidir: bool = False,
        original: bool = False,
        moving_features: int = 1,
        fixed_features: int = 1,
    ) -> None:
        encoder, decoder = features
        super().__init__(
            StridedUnet(ndims, moving_features + fixed_features, encoder, decoder, full_size=False),
            int_steps=int_steps,
            svf_resolution=2,
            int_resolution=2,
            bidir=bidir,
            use_probs=True,
            alignment="legacy",
            moving_features=moving_features,
            fixed_features=fixed_features,
        )
        self.original = original
        self.scale = 2**int_steps if original else 1

    def fields(
        self, moving: Tensor, fixed: Tensor, sample: bool = False, generator: torch.Generator | None = None
    ) -> FieldPair:
        pair = super().fields(moving, fixed, sample, generator)
        return pair if pair.velocity is None else replace(pair, velocity=self.scale * pair.velocity)

    def _predict(
        self, features: Tensor, sample: bool, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        flow, logvar, svf = super()._predict(features, sample, generator)
        if not self.original or flow.shape[1] == 1:
            return flow, logvar, svf
        flow, logvar, svf = (field[:, [1, 0, *range(2, field.shape[1])]] for field in (flow, logvar, svf))
        return flow, logvar, svf

    def _integrate(self, velocity: Tensor) -> Tensor:
        return super()._integrate(self.scale * velocity)


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
        full_size: go up to full resolution; otherwise decoder features beyond the fifth are ignored.

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
