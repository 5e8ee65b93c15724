"""SynthMorphAffineTask: a feature detector learns affine maps from images that are made of label maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.affine import affine_to_displacement
from ...core.spatial import warp
from ...networks.affine_detector import VxmAffineFeatureDetector
from ...synth.label_tables import one_hot
from ...synth.labels_to_image import Synthesised
from ...synth.labels_to_image_new import LabelsToImageNew
from ..data.case import Batch
from .registration import weighted
from .synthmorph import SynthMorphLabelsTask, labels_of


class SynthMorphAffineTask(SynthMorphLabelsTask):
    """Memberships of the labels are compared by their squared difference, in both directions.

    The original compares them halfway between the images, where the matrices of a new network may have no root.

    Raises:
        ConfigError: there are no label maps.
    """

    def build(self) -> nn.Module:
        return VxmAffineFeatureDetector(**self.arguments())

    def arguments(self) -> dict[str, Any]:
        config = self.config
        return {
            "ndims": len(self.info.shape),
            "num_chan": self.info.channels,
            "num_feat": config.features,
            "enc_nf": list(config.encoder),
            "add_nf": list(config.decoder),
            "rigid": config.rigid,
            "make_dense": False,
            "bidir": True,
        }

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            moving, fixed = self.synthesise(batch)
        self.show(moving, fixed)
        output = network(moving.image, fixed.image)
        return weighted(
            {
                "labels": (0.5, lambda: self._difference(fixed, moving, output.matrix)),
                "labels_back": (0.5, lambda: self._difference(moving, fixed, output.inverse_matrix)),
            }
        )

    def maps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch.moving_labels, batch.fixed_labels

    def _contrasts(self, batch: Batch) -> None:
        """Every image has intensities of its own."""

    def _maker(self, maps: Tensor) -> LabelsToImageNew:
        config = self.config
        return LabelsToImageNew(
            in_labels=labels_of(maps),
            one_hot=False,
            **config.motion(),
            slice_prob=config.thick,
        )

    def _difference(self, still: Synthesised, moving: Synthesised, matrix: Tensor) -> Tensor:
        values = self.structures()
        members = one_hot(moving.labels, values)
        displacement = affine_to_displacement(matrix, members.shape[2:], shift_center=False)
        moved = warp(members, displacement, padding="zeros")
        return (moved - one_hot(still.labels, values)).square().mean()
