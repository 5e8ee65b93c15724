"""ConditionalTemplateCreation: a template that depends on attributes such as age, and its registration."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import ConfigError, GeometryError
from ..core.options import check_range
from .convolution import Convolution, channels_last, convolve, upsample
from .dense import RegistrationNetwork, VxmDense
from .fields import FieldPair, via_template
from .padding import pad_same
from .template import MeanStream, TemplateOutput, copy_image

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
#: Convolutions after every upsampling.
_PER_LEVEL = 2


class GeneratedTemplate(RegistrationNetwork):
    """A registration network whose moving image follows from the subject's attributes; see its subclasses."""

    base: Tensor

    def keep_generator(
        self, generator: TemplateGenerator, shape: Sequence[int], features: int, mean_cap: float | None
    ) -> None:
        """Begin with a blank base; call it once the network is built.

        Args:
            generator: makes what is added to the base.
            shape: of the template and of all images.
            features: channels of the template.
            mean_cap: number of images over which the mean displacement runs; None keeps no mean.
        """
        self.generator = generator
        self.register_buffer("base", torch.zeros(features, *shape))
        self.mean_stream = None if mean_cap is None else MeanStream((len(shape), *shape), mean_cap)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the template and of all images."""
        return tuple(self.base.shape[1:])

    @property
    def attributes(self) -> int:
        """How many numbers describe a subject."""
        return self.generator.dense.in_features

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.base.shape[-self.unet.ndims :])

    def start_from(self, image: Tensor) -> None:
        """Set the base.

        Args:
            image: (C, *shape), such as the mean of some images.

        Raises:
            GeometryError: the shape differs.
        """
        copy_image(image, self.base)

    def template(self, attributes: Tensor) -> Tensor:
        """The template (B, C, *shape) of subjects with the attributes (B, A).

        Raises:
            GeometryError: another number of attributes.
        """
        return self.base + self.generator(attributes)

    def forward(
        self,
        attributes: Tensor,
        images: Tensor,
        sample: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> TemplateOutput:
        """Deform the templates of (B, A) attributes onto the subjects' images (B, C, *shape).

        Raises:
            GeometryError: attributes or images do not fit.
        """
        template = self.template(attributes)
        output = super().forward(template, images, sample, generator)
        mean = None if self.mean_stream is None else self.mean_stream(output.inverse)
        return TemplateOutput(template, output, mean)

    def fields(
        self, moving: Tensor, fixed: Tensor, sample: bool = False, generator: torch.Generator | None = None
    ) -> FieldPair:
        """Between two images via the template of attributes 0, the average subject's; all have one shape."""
        template = self.template(self.base.new_zeros(len(fixed), self.attributes))
        to_moving = super().fields(template, moving, sample, generator)
        return via_template(to_moving, super().fields(template, fixed, sample, generator))


class ConditionalTemplateCreation(GeneratedTemplate, VxmDense):
    """A VxmDense whose moving image is a fixed base plus what a generator makes from the subject's attributes.

    Args:
        shape: of the template and of all images.
        attributes: how many numbers describe a subject; the caller standardises them.
        template_features, image_features: channels; None gives the template as many as the images.
        generator_levels, generator_features, generator_kernel, extra_convolutions: see `TemplateGenerator`.
        use_mean_stream: keep a running mean of the displacements from the images to the template, see `TemplateOutput`.
        mean_cap: number of images over which it runs.
        options: the other arguments of `VxmDense`.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    def __init__(
        self,
        shape: Sequence[int],
        attributes: int = 1,
        template_features: int | None = None,
        image_features: int = 1,
        generator_levels: int = 0,
        generator_features: int = 32,
        generator_kernel: int = 3,
        extra_convolutions: int = 3,
        use_mean_stream: bool = True,
        mean_cap: float = 100,
        **options: Any,
    ) -> None:
        channels = image_features if template_features is None else template_features
        own = {"moving_features": channels, "fixed_features": image_features, "bidir": use_mean_stream}
        super().__init__(len(shape), **{**options, **own})
        generator = TemplateGenerator(
            attributes, shape, channels, generator_levels, generator_features, generator_kernel, extra_convolutions
        )
        self.keep_generator(generator, shape, channels, mean_cap if use_mean_stream else None)


class TemplateGenerator(nn.Module):
    """A dense layer that gives a coarse image, a decoder up to full size, and linear convolutions.

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
        self.dense = nn.Linear(attributes, prod(self.coarse))
        _glorot(self.dense)
        self.decoder = nn.ModuleList(
            nn.ModuleList(_convolution(ndims, features, features, kernel) for _ in range(_PER_LEVEL))
            for _ in range(upsamplings)
        )
        self.likelihood = _convolution(ndims, features, features, 1)
        self.extra = nn.ModuleList(_convolution(ndims, features, features, kernel) for _ in range(extra_convolutions))
        self.image = _convolution(ndims, features, out_channels, 3)
        for parameter in self.image.parameters():
            nn.init.normal_(parameter, std=1e-7)

    def forward(self, attributes: Tensor) -> Tensor:
        """(B, attributes) -> (B, out_channels, *shape).

        Raises:
            GeometryError: another number of attributes.
        """
        wanted = self.dense.in_features
        if attributes.ndim != 2 or attributes.shape[1] != wanted:
            raise GeometryError(f"The template needs attributes (B, {wanted}), got {tuple(attributes.shape)}.")
        image = functional.elu(self.dense(attributes.float())).unflatten(1, self.coarse)
        image = channels_last(image) if image.device.type == "cpu" else image
        for convolutions in self.decoder:
            image = upsample(image, 2)
            for convolution in convolutions:
                image = functional.elu(_same(image, convolution))
        for convolution in (self.likelihood, *self.extra, self.image):
            image = _same(image, convolution)
        return image.contiguous()


def _convolution(ndims: int, in_channels: int, out_channels: int, kernel: int) -> Convolution:
    layer = _CONVOLUTIONS[ndims - 1](in_channels, out_channels, kernel)
    _glorot(layer)
    return layer


def _glorot(layer: Convolution | nn.Linear) -> None:
    assert layer.bias is not None
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


def _same(image: Tensor, convolution: Convolution) -> Tensor:
    extent = convolution.kernel_size[0]
    if extent % 2:
        return convolve(image, convolution.weight, convolution.bias, padding=extent // 2)
    return convolution(pad_same(image, convolution.kernel_size))
