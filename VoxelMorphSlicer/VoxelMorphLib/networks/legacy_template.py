"""The template networks of 2019, a MICCAI-2018 network without variance behind a template, so that their files run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .conditional_template import GeneratedTemplate, TemplateGenerator
from .legacy import MICCAI_FEATURES, StridedUnet
from .template import LearnedTemplate

#: Squarings of the integration; the files do not tell them.
TEMPLATE_STEPS, CONDITIONAL_STEPS = 3, 5


class LegacyTemplateCreation(LearnedTemplate):
    """A learnt template and the network that deforms it onto images and these onto it.

    Args:
        shape: of the template and of all images.
        features: (encoder, decoder) of `legacy.StridedUnet`; decoder features beyond the fifth are ignored.
        int_steps: squarings of the integration.
        mean_cap: number of images over which the mean displacement runs.

    Raises:
        ConfigError: impossible features.

    Source: Dalca et al., NeurIPS 2019, arXiv:1908.02738, and the `legacy` branch of its code.
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: Sequence[Sequence[int]] = MICCAI_FEATURES,
        int_steps: int = TEMPLATE_STEPS,
        mean_cap: float = 100,
    ) -> None:
        super().__init__(StridedUnet(len(shape), 2, *features, full_size=False), **_half_size(int_steps))
        self.keep_template(shape, 1, mean_cap)


class LegacyConditionalTemplateCreation(GeneratedTemplate):
    """The same with a template that follows from attributes, such as age and sex.

    Args:
        shape: of the template and of all images.
        attributes: how many numbers describe a subject.
        features, int_steps, mean_cap: as those of `LegacyTemplateCreation`.
        generator_levels, generator_features, generator_kernel, extra_convolutions: see `TemplateGenerator`.

    Raises:
        ConfigError: impossible features, or a shape that does not fit the generator.

    Source: as `LegacyTemplateCreation`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        attributes: int = 2,
        features: Sequence[Sequence[int]] = MICCAI_FEATURES,
        int_steps: int = CONDITIONAL_STEPS,
        mean_cap: float = 100,
        generator_levels: int = 0,
        generator_features: int = 4,
        generator_kernel: int = 3,
        extra_convolutions: int = 3,
    ) -> None:
        super().__init__(StridedUnet(len(shape), 2, *features, full_size=False), **_half_size(int_steps))
        generator = TemplateGenerator(
            attributes, shape, 1, generator_levels, generator_features, generator_kernel, extra_convolutions
        )
        self.keep_generator(generator, shape, 1, mean_cap)


def _half_size(int_steps: int) -> dict[str, Any]:
    """The velocity is predicted and integrated on every second voxel, and resized as in 2018."""
    return {
        "int_steps": int_steps,
        "svf_resolution": 2,
        "int_resolution": 2,
        "bidir": True,
        "alignment": "legacy",
    }
