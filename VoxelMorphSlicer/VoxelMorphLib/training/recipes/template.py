"""TemplateConfig: images become one template, sharp and in the middle of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_range
from ..config import TrainingConfig


@dataclass(frozen=True)
class TemplateConfig(TrainingConfig):
    """A template and the network that deforms it onto every image, learned together.

    The template starts from `atlas`, or from the mean of up to 100 images. The penalty is that of the displacement on
    the images' grid.

    Args:
        image_weight: of the deformed template's likeness to the image, 0 to 1; the rest of 1 is the weight of the
            deformed image's likeness to the template.
        mean_weight: of the mean displacement, which keeps the template central.
        deformation_weight: of the size of the displacements.
        mean_cap: images over which the mean displacement runs.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738.
    """

    recipe: ClassVar[str] = "template"

    image_loss: str = "ncc"
    smoothness: float = 1.0
    mean_weight: float = 1.0
    deformation_weight: float = 0.0
    mean_cap: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("image_weight", self.image_weight, 0, 1)
        check_template_options(self)


def check_template_options(config: TrainingConfig) -> None:
    """Raise ConfigError unless the options that all templates share are possible."""
    check_range("mean_weight", config.mean_weight, 0, 1e6)
    check_range("deformation_weight", config.deformation_weight, 0, 1e6)
    check_range("mean_cap", config.mean_cap, 1, 4096)
