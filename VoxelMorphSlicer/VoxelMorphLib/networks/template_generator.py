"""TemplateGenerator: attributes such as age and sex become an image."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from ..core.config import check_range
from ..core.errors import ConfigError, GeometryError
from .convolution import convolve, upsample
from .same_padding import pad_same

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
#: Convolutions after every upsampling.
_PER_LEVEL = 2


class TemplateGenerator(nn.Module):
    """A dense layer onto a coarse image, a decoder up to full size, and linear convolutions.

    Args:
        attributes: how many numbers describe a subject.
        shape: of the image.
        out_channels: of the image.
        levels: of the decoder; beyond the first, every level doubles the extents. The dense layer holds
            (attributes + 1) * features numbers per voxel of the coarsest level.
        features: of all layers.
        kernel: extent of the convolutions.
        extra_convolutions: linear ones after the decoder.

    Raises:
        ConfigError: impossible values, or a shape that cannot be halved as often as the levels ask for.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738, section 3.4.
    """

    def __init__(
        self,
        attributes: int,
        shape: Sequence[int],
        out_channels: int = 1,
        levels: int = 0,
        features: int = 32,
        kernel: int = 3,
        extra_convolutions: int = 3,
    ) -> None:
        super().__init__()
        check_range("attributes", attributes, 1, 4096)
        check_range("features", features, 1, 4096)
        check_range("kernel", kernel, 1, 15)
        check_range("extra_convolutions", extra_convolutions, 0, 100)
        upsamplings = max(levels - 1, 0)
        if upsamplings > 16 or any(n % 2**upsamplings for n in shape):
            raise ConfigError(f"A generator of {levels} levels cannot make the shape {tuple(shape)}; use fewer levels.")
        self.coarse = (features, *(n // 2**upsamplings for n in shape))
        ndims = len(shape)
        self.dense = _glorot(nn.Linear(attributes, prod(self.coarse)))
        self.decoder = nn.ModuleList(
            nn.ModuleList(_convolution(ndims, features, features, kernel) for _ in range(_PER_LEVEL))
            for _ in range(upsamplings)
        )
        self.likelihood = _convolution(ndims, features, features, 1)
        self.extra = nn.ModuleList(_convolution(ndims, features, features, kernel) for _ in range(extra_convolutions))
        self.image = _convolution(ndims, features, out_channels, 3)
        nn.init.normal_(self.image.weight, std=1e-7)
        nn.init.normal_(self.image.bias, std=1e-7)

    def forward(self, attributes: Tensor) -> Tensor:
        """(B, attributes) -> (B, out_channels, *shape).

        Raises:
            GeometryError: another number of attributes.
        """
        wanted = self.dense.in_features
        if attributes.ndim != 2 or attributes.shape[1] != wanted:
            raise GeometryError(f"The template needs attributes (B, {wanted}), got {tuple(attributes.shape)}.")
        image = functional.elu(self.dense(attributes.float())).unflatten(1, self.coarse)
        for convolutions in self.decoder:
            image = upsample(image, 2)
            for convolution in convolutions:
                image = functional.elu(_same(image, convolution))
        for convolution in (self.likelihood, *self.extra, self.image):
            image = _same(image, convolution)
        return image


def _convolution(ndims: int, in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    return _glorot(_CONVOLUTIONS[ndims - 1](in_channels, out_channels, kernel))


def _glorot(layer: nn.Module) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _same(image: Tensor, convolution: nn.Module) -> Tensor:
    extent = convolution.kernel_size[0]
    if extent % 2:
        return convolve(image, convolution.weight, convolution.bias, padding=extent // 2)
    return convolution(pad_same(image, convolution.kernel_size))
