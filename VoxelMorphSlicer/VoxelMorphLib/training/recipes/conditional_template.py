"""ConditionalTemplateConfig: images and attributes such as age become a template that depends on these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_range, check_whole
from ..config import TrainingConfig
from .template import check_template_options


@dataclass(frozen=True)
class ConditionalTemplateConfig(TrainingConfig):
    """A template for every value of the `attributes`, which must be given, and the network that deforms it.

    The template is `atlas`, or the mean of up to 100 images, plus what a generator makes of the attributes. The penalty
    is that of the displacement on the images' grid.

    Args:
        mean_weight: of the mean displacement, which keeps the templates central.
        deformation_weight: of the size of the displacements.
        mean_cap: images over which the mean displacement runs.
        generator_levels: of the generator's decoder; 0 makes the template at full size from the first layer on.
        generator_features: of the generator's layers.
        generator_kernel: extent of its convolutions.
        extra_convolutions: linear ones at its end.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    recipe: ClassVar[str] = "conditional-template"

    image_loss: str = "ncc"
    smoothness: float = 1.0
    mean_weight: float = 1.0
    deformation_weight: float = 0.01
    mean_cap: float = 100.0
    generator_levels: int = 0
    generator_features: int = 4
    generator_kernel: int = 3
    extra_convolutions: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_template_options(self)
        for name, (low, high) in _RANGES.items():
            check_whole(name, getattr(self, name))
            check_range(name, getattr(self, name), low, high)


_RANGES = {
    "generator_levels": (0, 16),
    "generator_features": (1, 4096),
    "generator_kernel": (1, 15),
    "extra_convolutions": (0, 100),
}
