"""SynthMorphJointTask: a joint network learns every regularity from images that are made of label maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...networks.affine_detector import VxmAffineFeatureDetector
from ...networks.joint import HyperVxmJoint
from ...synth.labels_to_image import Synthesised
from ...weights.load import load_network
from ..data.case import Batch
from .hypermorph import EveryLambda
from .registration import weighted
from .synthmorph import SynthMorphLabelsTask

#: Options of a detector that decide how its features are computed and fitted; the joint network chooses the others.
_OF_DETECTOR = ("num_feat", "enc_nf", "dec_nf", "add_nf", "per_level", "weighted", "rigid")


class SynthMorphJointTask(EveryLambda, SynthMorphLabelsTask):
    """The overlap of the labels and the penalty of the deformation weigh 1 - lambda and lambda, in both directions.

    Raises:
        ConfigError: there are no label maps, or `affine_weights` holds no affine network of as many axes and channels.
        WeightsError: `affine_weights` cannot be read.
    """

    def build(self) -> nn.Module:
        self._detector = self._read_detector()
        network = HyperVxmJoint(**self.arguments())
        if self._detector is not None:
            network.affine.load_state_dict(self._detector.state_dict())
            network.affine.requires_grad_(False)
        return network

    def arguments(self) -> dict[str, Any]:
        config, levels, detector = self.config, len(self.config.encoder), self._detector
        affine = None if detector is None else {name: detector.options[name] for name in _OF_DETECTOR}
        return {
            "ndims": len(self.info.shape),
            "num_chan": self.info.channels,
            "hyp_units": [config.hyper_units] * config.hyper_layers,
            "enc_nf": list(config.encoder),
            "dec_nf": list(config.decoder[:levels]),
            "add_nf": list(config.decoder[levels:]),
            "int_steps": config.int_steps,
            "bidir": True,
            "skip_affine": detector is None,
            "mid_space": detector is not None,
            "return_def": True,
            "affine": affine,
            "default": self._chosen,
        }

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            moving, fixed = self.synthesise(batch)
        self.show(moving, fixed)
        hyper = self.draw(batch).to(moving.image.device)
        output = network(moving.image, fixed.image, hyper[:, None])
        weight = self.config.dice_weight / 2
        return weighted(
            {
                "labels": (weight, lambda: self._overlaps((1 - hyper), fixed, moving, output.displacement)),
                "labels_back": (weight, lambda: self._overlaps((1 - hyper), moving, fixed, output.inverse)),
                "penalty": (self.config.smoothness, lambda: self._penalties(hyper, output.deformation)),
            }
        )

    def variants(self) -> tuple[str, ...]:
        count = self.config.sweep
        return tuple(f"{(number + 1) / (count + 1):.3g}" for number in range(count))

    def _overlaps(self, weights: Tensor, still: Synthesised, moving: Synthesised, displacement: Tensor) -> Tensor:
        overlap, occurs = self.overlap(still, moving, displacement)
        return (weights * (1 - overlap.sum(1) / occurs.sum(1).clamp(min=1))).mean()

    def _penalties(self, weights: Tensor, deformation: Tensor) -> Tensor:
        return (weights * torch.stack([self.penalty_term(one[None]) for one in deformation])).mean()

    def _read_detector(self) -> VxmAffineFeatureDetector | None:
        path = self.config.affine_weights
        if not path:
            return None
        network, _entry = load_network(path)
        wanted = len(self.info.shape), self.info.channels
        if not isinstance(network, VxmAffineFeatureDetector) or (network.ndims, network.num_chan) != wanted:
            raise ConfigError(
                f"affine_weights names {path}, which holds no affine network of SynthMorph for {wanted[0]} axes and "
                f"{wanted[1]} channels. Train one by the recipe synthmorph-affine, or leave it empty."
            )
        return network
