"""TemplateCreation: learns the image that all others are a small deformation of, and how to deform it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import GeometryError
from .dense import RegistrationNetwork, VxmDense
from .fields import FieldPair, RegistrationOutput, via_template


@dataclass(frozen=True)
class TemplateOutput:
    """The tensors of one pass.

    Args:
        template: (B, C, *shape), the moving image of the registration.
        registration: of the template (moving) with the images (fixed).
        mean_displacement: (B, N, *shape), running mean of the displacements from the images to the template, in
            voxels; zero for a central template. None where none is kept.
    """

    template: Tensor
    registration: RegistrationOutput
    mean_displacement: Tensor | None


class LearnedTemplate(RegistrationNetwork):
    """A bidirectional registration network whose moving image, the template, is learnt with it; see its subclasses."""

    def keep_template(self, shape: Sequence[int], features: int, mean_cap: float) -> None:
        """Begin with a blank template; call it once the network is built.

        Args:
            shape: of the template and of all images.
            features: channels of the template.
            mean_cap: number of images over which the mean displacement runs.
        """
        self.template = nn.Parameter(torch.zeros(features, *shape))
        nn.init.normal_(self.template, std=1e-7)
        self.mean_stream = MeanStream((len(shape), *shape), mean_cap)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the template and of all images."""
        return tuple(self.template.shape[1:])

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.shape

    def start_from(self, image: Tensor) -> None:
        """Set the template.

        Args:
            image: (C, *shape), such as the mean of some images.

        Raises:
            GeometryError: the shape differs.
        """
        copy_image(image, self.template)

    def forward(
        self, images: Tensor, sample: bool | None = None, generator: torch.Generator | None = None
    ) -> TemplateOutput:
        """Deform the template onto images (B, C, *shape), and these onto it.

        Raises:
            GeometryError: the images do not fit the template.
        """
        template = self.template.expand(len(images), *self.template.shape)
        output = super().forward(template, images, sample, generator)
        return TemplateOutput(template, output, self.mean_stream(output.inverse))

    def fields(
        self, moving: Tensor, fixed: Tensor, sample: bool = False, generator: torch.Generator | None = None
    ) -> FieldPair:
        """Between two images via the template, which may be one of them; all have one shape."""
        template = self.template.expand(len(fixed), *self.template.shape)
        to_moving = super().fields(template, moving, sample, generator)
        return via_template(to_moving, super().fields(template, fixed, sample, generator))


class TemplateCreation(LearnedTemplate, VxmDense):
    """A VxmDense whose moving image, the template, is learnt with it; always bidirectional.

    Args:
        shape: of the template and of all images.
        mean_cap: number of images over which the mean displacement runs.
        template_features, image_features: channels.
        options: the other arguments of `VxmDense`.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    def __init__(
        self,
        shape: Sequence[int],
        mean_cap: float = 100,
        template_features: int = 1,
        image_features: int = 1,
        **options: Any,
    ) -> None:
        channels = {"moving_features": template_features, "fixed_features": image_features}
        super().__init__(len(shape), **{**options, **channels, "bidir": True})
        self.keep_template(shape, template_features, mean_cap)


def copy_image(image: Tensor, target: Tensor) -> None:
    """Put the values of `image` into `target`, both (C, *shape), without a gradient.

    Raises:
        GeometryError: the shapes differ.
    """
    if image.shape != target.shape:
        raise GeometryError(
            f"A template (C, *shape) of {tuple(target.shape)} cannot start from {tuple(image.shape)}. Resample it."
        )
    with torch.no_grad():
        target.copy_(image)


class MeanStream(nn.Module):
    """Mean of all training items, of the most recent ones once `cap` is reached.

    Args:
        shape: (C, *spatial), of one item.
        cap: number of items after which older ones fade.

    In training every call updates the mean; otherwise the stored one is returned. The mean is scaled down while fewer
    than `cap` items have been seen.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738, section 3.2.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, shape: Sequence[int], cap: float = 100) -> None:
        super().__init__()
        self.cap = cap
        self.register_buffer("mean", torch.zeros(tuple(shape)))
        self.register_buffer("count", torch.zeros(1))

    def forward(self, items: Tensor) -> Tensor:
        """(B, C, *spatial) -> the mean, the same for every item; gradients flow into the newest items."""
        mean, count = self.mean, self.count
        if self.training:
            batch = items.shape[0]
            weight = batch / (count + batch).clamp(max=self.cap)
            mean = mean + weight * (items.float().mean(0) - mean)
            count = count + batch
            self.mean, self.count = mean.detach(), count
        return ((count / self.cap).clamp(max=1) * mean).expand_as(items)
