"""ImageUnetTask, and one image of a label map that lies already as it is to: what trainings on single images share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...core.filters import min_max
from ...networks.fields import FieldPair
from ...registration.features import FeatureRegistrar
from ...synth.curves import through_a_curve
from ...synth.labels_to_image import Synthesised
from ...synth.labels_to_image_new import LabelsToImageNew
from ...synth.random_parts import samples_of
from ..data.case import DatasetInfo
from ..single_image_recipes import ImageUnetConfig
from ..task import Task

#: Least noise, as a share of the brightest voxel; largest strength of the bias field; slices at most so thick.
LEAST_NOISE, BIAS, SLICE = 0.01, 0.3, 3.0
#: Every how many voxels suffice for a percentile.
SCALED_BY = 4


class ImageUnetTask(Task):
    """A network that looks at each image alone, by which pairs are then registered."""

    def __init__(self, config: ImageUnetConfig, info: DatasetInfo):
        self._shown: dict[str, Tensor] = {}
        super().__init__(config, info)

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""

    def fields(self, network: nn.Module, moving: Tensor, fixed: Tensor, variant: str = "") -> FieldPair:
        return FeatureRegistrar(network).fields(moving, fixed)

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        return self.network, type(self.network).__name__, self.arguments()

    def show(self, images: Tensor, borders: Tensor | None = None) -> None:
        """Keep for the page what the network sees of the first image, and how long the tensors of its borders are.

        Args:
            images: (B, 1, *shape).
            borders: (B, N (N + 1) / 2, *shape), see `border_tensor`.
        """
        self._shown = {"image": images[:1]}
        if borders is not None:
            squares = borders[:1, : len(self.info.shape)]  # the products of every axis with itself
            self._shown["borders"] = squares.sum(1, keepdim=True)

    def previews(self) -> dict[str, Tensor]:
        return self._shown


def made_image(
    labels: Tensor,
    random: torch.Generator,
    config: ImageUnetConfig,
    in_labels: Sequence[int] | Mapping[int, int],
    black: float,
    **means: Any,
) -> Synthesised:
    """An image (1, 1, *shape) of 0 to 1 on the scale of the real ones, with the map that it shows.

    Args:
        labels: (1, 1, *shape).
        random: on the CPU.
        config: says how much noise there is, how often slices are thick, and how images are scaled.
        in_labels: as of `LabelsToImageNew`.
        black: share of the images whose background is black.
        means: `mean_min` and `mean_max` of `LabelsToImageNew`.
    """
    maker = LabelsToImageNew(
        in_labels=in_labels,
        one_hot=False,
        noise_min=min(LEAST_NOISE, config.noise),
        noise_max=config.noise,
        zero_background=black,
        bias_max=BIAS,
        slice_prob=config.thick,
        slice_stride_max=SLICE,
        warp_max=0,
        **means,
    )
    made = maker(labels, [random])
    scaled = _scaled if config.intensity == "percentile" else min_max
    image = scaled(made.image)
    if config.curves:
        part = samples_of([random], image.device)[0].part("curve")
        if part.chance(config.curves):
            image = scaled(through_a_curve(image, part))
    return replace(made, image=image, velocity=None, displacement=None, affine=None)


def _scaled(image: Tensor) -> Tensor:
    """As `IntensityScale` scales real images by percentiles."""
    low, high = (torch.quantile(image.flatten()[::SCALED_BY], share) for share in (0.005, 0.995))
    return ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
