"""SynthMorphLabelsTask, SynthMorphShapesTask: a dense network learns from images that are made of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...core.displacement import compose, integrate_velocity
from ...core.errors import ConfigError
from ...core.losses.label_overlap import moved_label_overlap
from ...core.resize import resize_displacement
from ...core.spatial import warp
from ...synth.label_tables import labels_to_labels, look_up
from ...synth.labels_to_image import COARSENESS, STEPS, LabelsToImage, Synthesised, joined
from ...synth.shapes import random_shapes
from ..data.augment import random_displacement
from ..data.case import Batch, DatasetInfo
from ..synthmorph_recipes import SynthMorphLabelsConfig, SynthMorphShapesConfig
from .registration import POINTS, RegistrationTask, Terms, sample_generators, weighted

#: Streams of random numbers in addition to those of the other tasks.
MOVING, FIXED, SHAPES, STRIP, PLACE, CONTRAST = range(POINTS + 1, POINTS + 7)


class SynthMorphLabelsTask(RegistrationTask):
    """Both images of a pair are made of label maps at every step, and the overlap of the labels is compared.

    Labels that neither map has do not count; the original counts them as overlap 0, which has the same gradient.

    Raises:
        ConfigError: there are no label maps.
    """

    def __init__(self, config: SynthMorphLabelsConfig | SynthMorphShapesConfig, info: DatasetInfo):
        self._check(info)
        super().__init__(config, info)
        self._shown: dict[str, Tensor] = {}

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "reg_field": "warp"}

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            moving, fixed = self.synthesise(batch)
        self.show(moving, fixed)
        output = network(moving.image, fixed.image, generator=generator)
        weight, terms = self.config.dice_weight, Terms()
        if output.inverse is not None:
            weight = weight / 2
            terms["labels_back"] = (weight, lambda: self._overlap_loss(moving, fixed, output.inverse))
        return weighted(
            {
                "labels": (weight, lambda: self._overlap_loss(fixed, moving, output.displacement)),
                **terms,
                "field": (self.config.field_weight, lambda: self._distance(moving, fixed, output.displacement)),
                "penalty": (self.config.smoothness, lambda: self.penalty_term(output.regularised)),
            }
        )

    def synthesise(self, batch: Batch) -> tuple[Synthesised, Synthesised]:
        """The moving and the fixed image of every sample, with their deformed label maps (B, 1, *shape)."""
        moving, fixed = self.maps(batch)
        maker = self._maker(torch.cat([moving, fixed]))
        contrasts = self._contrasts(batch)
        numbers = [sample_generators(self.config.seed, batch, stream) for stream in (MOVING, FIXED)]
        if contrasts is None:
            first, second = (maker(labels, generators) for labels, generators in zip((moving, fixed), numbers))
            return first, second
        made = [
            [maker(labels[i : i + 1], generators[i : i + 1], seeds=seeds) for i, seeds in enumerate(contrasts)]
            for labels, generators in zip((moving, fixed), numbers)
        ]
        return joined(made[0]), joined(made[1])

    def _contrasts(self, batch: Batch) -> list[dict[str, int]] | None:
        """Seeds that both images of a pair share, for every pair; None where no pair shares any."""
        if self.config.same_contrast == 0:
            return None
        drawn = sample_generators(self.config.seed, batch, CONTRAST)
        shares = [bool(torch.rand((), generator=random) < self.config.same_contrast) for random in drawn]
        seeds = [int(torch.randint(2**62, (), generator=random)) for random in drawn]
        return [{"mean": seed, "background": seed + 1} if same else {} for same, seed in zip(shares, seeds)]

    def maps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The label maps (B, 1, *shape) that the moving and the fixed image are made of."""
        fixed = batch.fixed_labels
        moving = fixed if self.config.same_subject else batch.moving_labels
        if self.config.aligned or self.config.misaligned:
            moving = self._placed(moving, batch)
        return self._stripped(moving, batch, 0), self._stripped(fixed, batch, 1)

    def validation_batch(self, batch: Batch) -> Batch:
        """Pairs of a validation list are real; label maps that were held back become images, always the same."""
        if self.config.validation_list:
            return batch
        return of_made(batch, *self.synthesise(batch))

    def show(self, moving: Synthesised, fixed: Synthesised) -> None:
        """Keep the first pair of a step for `previews`."""
        self._shown = {"moving": moving.image[:1], "fixed": fixed.image[:1]}

    def previews(self) -> dict[str, Tensor]:
        return self._shown

    def structures(self) -> Sequence[int]:
        """The labels that are brought together."""
        return self.info.labels

    def _distance(self, moving: Synthesised, fixed: Synthesised, displacement: Tensor) -> Tensor:
        """Mean squared distance from the known deformation, voxels, where the fixed image shows a structure."""
        inside = look_up(fixed.labels, self.structures(), self.structures()) > 0
        squared = (displacement - known_displacement(moving, fixed)).square().sum(1, keepdim=True)
        return (squared * inside).sum() / inside.sum().clamp(min=1)

    def _check(self, info: DatasetInfo) -> None:
        if not info.labels:
            raise ConfigError("The recipe makes images of label maps, and there are none with labels. Give label_list.")

    def _maker(self, maps: Tensor) -> LabelsToImage:
        """The generator for all labels that some maps have."""
        config = self.config
        return LabelsToImage(
            in_labels=labels_of(maps),
            one_hot=False,
            warp_std=config.vel_std,
            warp_res=config.vel_res,
            blur_std=config.blur_std,
            bias_std=config.bias_std,
            bias_res=config.bias_res,
            gamma_std=config.gamma_std,
            zero_background=config.background_zero,
        )

    def _placed(self, moving: Tensor, batch: Batch) -> Tensor:
        """The moving maps, brought to the fixed ones where that is asked for, and then away by random affine maps."""
        shape, placed = moving.shape[2:], []
        for i, random in enumerate(sample_generators(self.config.seed, batch, PLACE)):
            chain = [random_displacement(shape, self.config.misaligned, 0.0, random, moving.device)]
            if self.config.aligned:
                chain.insert(0, labels_to_labels(batch.fixed_labels[i : i + 1], moving[i : i + 1], self.structures()))
            placed.append(warp(moving[i : i + 1], compose(chain, shift_center=False), "nearest", "hard"))
        return torch.cat(placed)

    def _stripped(self, labels: Tensor, batch: Batch, place: int) -> Tensor:
        """Maps of which some have lost all labels that are not brought together."""
        if self.config.strip == 0:
            return labels
        drawn = [torch.rand(2, generator=g)[place] for g in sample_generators(self.config.seed, batch, STRIP)]
        chosen = [bool(value < self.config.strip) for value in drawn]
        kept = look_up(labels, self.structures(), self.structures()).to(labels.dtype)
        return torch.stack([kept[i] if strip else labels[i] for i, strip in enumerate(chosen)])

    def _overlap_loss(self, still: Synthesised, moving: Synthesised, displacement: Tensor) -> Tensor:
        """1 minus the mean overlap of the labels."""
        overlap, occurs = self.overlap(still, moving, displacement)
        return 1 - overlap.sum() / occurs.sum().clamp(min=1)

    def overlap(self, still: Synthesised, moving: Synthesised, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """Of every label, (B, labels), and whether it occurs."""
        values = self.structures()
        places = [look_up(made.labels, values, range(1, len(values) + 1)) for made in (still, moving)]
        return moved_label_overlap(*places, displacement, len(values))


@torch.no_grad()
def known_displacement(moving: Synthesised, fixed: Synthesised) -> Tensor:
    """The displacement (B, N, *shape), voxels, between two deformations of one label map.

    A point of the fixed image is brought to the map by the fixed deformation, and from there by the inverse of the
    moving one to the moving image.
    """
    assert moving.velocity is not None and fixed.displacement is not None
    inverse = integrate_velocity(-moving.velocity, STEPS)
    back = resize_displacement(inverse, fixed.displacement.shape[2:], scale=COARSENESS)
    return compose([back, fixed.displacement])


def of_made(batch: Batch, moving: Synthesised, fixed: Synthesised) -> Batch:
    """The batch with the images that were made and the maps that they show."""
    labels = {"moving_labels": moving.labels.short(), "fixed_labels": fixed.labels.short()}
    return replace(batch, moving=moving.image, fixed=fixed.image, **labels)


def labels_of(maps: Tensor) -> tuple[int, ...]:
    """0 and all labels that some maps have, in ascending order."""
    return tuple(sorted({0, *torch.bincount(maps.flatten().long()).nonzero()[:, 0].tolist()}))


class SynthMorphShapesTask(SynthMorphLabelsTask):
    """Each pair is one map of random shapes, from which two images are made."""

    def maps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        config = self.config
        shapes = random_shapes(
            batch.fixed.shape[2:],
            sample_generators(config.seed, batch, SHAPES),
            config.shape_labels,
            shared_warps=config.shared_warps,
            device=batch.fixed.device,
        )
        return shapes, shapes

    def structures(self) -> Sequence[int]:
        return range(self.config.shape_labels)

    def _check(self, info: DatasetInfo) -> None:
        """Shapes need no data."""
