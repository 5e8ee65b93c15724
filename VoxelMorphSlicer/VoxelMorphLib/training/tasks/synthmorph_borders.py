"""SynthMorphBordersTask: a network learns to find borders in images of random shapes, whatever their contrast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...networks.borders import VxmBorderDetector
from ...synth.border_tensor import border_loss, border_tensor
from ...synth.random_parts import Sample
from ...synth.shapes import random_shapes
from ..data.case import Batch
from .made_image import ImageUnetTask, made_image
from .registration import sample_generators, weighted
from .synthmorph import FIXED, SHAPES, labels_of

#: Voxels between the points of the noise that shapes are cut from; a map has one of these sizes.
SIZES = ((8, 16), (16, 32), (32, 64))
#: Voxels between the points of the warps of that noise, and their largest standard deviation.
WARPS, WARP_STD = (8, 16, 32), 8.0
#: A map has at least so many labels, if it may.
FEWEST = 4
#: Share of the images whose background is black.
BLACK = 0.3


class SynthMorphBordersTask(ImageUnetTask):
    """Squared distance from the tensors of the borders in label maps of random shapes."""

    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""
        config = self.config
        features = [list(config.encoder), list(config.decoder)]
        return {"ndims": len(self.info.shape), "features": features, "conv_per_level": config.conv_per_level}

    def build(self) -> nn.Module:
        return VxmBorderDetector(**self.arguments())

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            images, borders = self.synthesise(batch)
        self.show(images, borders)
        found = network(images)
        return weighted({"borders": (1.0, lambda: border_loss(found, borders))})

    def synthesise(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """An image (B, 1, *shape) for every sample of a batch, and the tensors of the borders that it shows."""
        streams = (sample_generators(self.config.seed, batch, stream) for stream in (SHAPES, FIXED))
        made = []
        for shapes, look in zip(*streams):
            labels = self._map(shapes, batch.fixed.device)
            values = labels_of(labels)
            made.append((made_image(labels, look, self.config, values, BLACK).image, border_tensor(labels, values)))
        images, borders = zip(*made)
        return torch.cat(images), torch.cat(borders)

    def _map(self, random: torch.Generator, device: torch.device) -> Tensor:
        """A label map (1, 1, *shape) of random shapes of one of the sizes."""
        part = Sample(random, device).part("map")
        most = self.config.shape_labels
        fewest = min(FEWEST, most)
        labels = fewest + part.choice(most - fewest + 1)
        sizes = SIZES[part.choice(len(SIZES))]
        return random_shapes(
            self.info.shape, [random], labels, image_scales=sizes, warp_scales=WARPS, warp_std=WARP_STD, device=device
        )
