"""ConditionalTemplateCreation: a template that depends on attributes such as age, and its registration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .dense import VxmDense
from .fields import FieldPair
from .mean_stream import MeanStream
from .template import TemplateOutput, copy_image
from .template_generator import TemplateGenerator
from .through import fields_through


class ConditionalTemplateCreation(VxmDense):
    """A VxmDense whose moving image is a fixed base plus what a generator makes of the subject's attributes.

    Args:
        shape: of the template and of all images.
        attributes: how many numbers describe a subject; standardising them is the user's task.
        template_features, image_features: channels; the template has those of the images unless told otherwise.
        generator_levels, generator_features, generator_kernel, extra_convolutions: see `TemplateGenerator`.
        use_mean_stream: keep the mean displacement from the images to the template, see `TemplateOutput`.
        mean_cap: images over which it runs.
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
        self.generator = TemplateGenerator(
            attributes, shape, channels, generator_levels, generator_features, generator_kernel, extra_convolutions
        )
        self.register_buffer("base", torch.zeros(channels, *shape))
        self.mean_stream = MeanStream((len(shape), *shape), mean_cap) if use_mean_stream else None

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
        """Between two images, by way of the template of attributes 0, the average subject's; all have one shape."""
        template = self.template(self.base.new_zeros(len(fixed), self.generator.dense.in_features))
        to_moving = super().fields(template, moving, sample, generator)
        return fields_through(to_moving, super().fields(template, fixed, sample, generator))
