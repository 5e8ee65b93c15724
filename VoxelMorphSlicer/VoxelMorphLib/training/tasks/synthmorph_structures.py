"""SynthMorphStructuresTask: a network learns to find structures in images of any contrast, made of label maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.affine import affine_to_displacement
from ...core.errors import ConfigError
from ...core.losses.anatomy import soft_dice
from ...core.spatial import warp
from ...networks.structures import VxmStructureDetector
from ...synth.border_tensor import border_loss, border_tensor
from ...synth.label_motion import LabelMotion
from ...synth.label_tables import labels_to_labels, look_up, one_hot, sides_merged
from ...synth.labels_to_image import Synthesised, joined
from ...synth.random_parts import samples_of
from ...synth.tissues import tissue_means
from ..checkpoint import fill
from ..data.case import Batch, DatasetInfo
from ..single_image_recipes import SynthMorphStructuresConfig, label_groups
from .made_image import ImageUnetTask, made_image
from .registration import sample_generators, weighted
from .synthmorph import FIXED, MOVING, labels_of, of_made

#: Share of the maps without surroundings that keep a rim of them, and voxels of that rim at most.
RIM, WIDEST_RIM = 0.5, 2
#: Share of such images whose background is black, and of the others.
BLACK_STRIPPED, BLACK = 0.85, 0.25


class SynthMorphStructuresTask(ImageUnetTask):
    """Cross entropy and overlap of the structures that are found in images made of label maps.

    Raises:
        ConfigError: there are no label maps, or an option names labels that are not among those of the training.
    """

    samples = "single"

    def __init__(self, config: SynthMorphStructuresConfig, info: DatasetInfo):
        if not info.labels:
            raise ConfigError("The recipe makes images of label maps, and there are none with labels. Give label_list.")
        sides = {label: label for label in info.labels} if config.sides else sides_merged(info.labels)
        #: The labels of every structure.
        self.structures = [
            [label for label in info.labels if sides[label] == first] for first in sorted(set(sides.values()))
        ]
        self._place = {label: number for number, labels in enumerate(self.structures, 1) for label in labels}
        self._tissues = label_groups(config.tissues, "tissues")
        self._channels = label_groups(config.channels, "channels")
        unknown = sorted({label for group in self._channels for label in group} - set(info.labels))
        if unknown:
            raise ConfigError(
                f"channels names {unknown[0]}, which is not among the labels of the training "
                f"({', '.join(map(str, info.labels))}). Leave it out, or add it to labels."
            )
        super().__init__(config, info)

    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""
        config = self.config
        return {
            "structures": self.structures,
            "channels": [sorted({self._place[label] for label in group}) for group in self._channels],
            "borders": config.border_weight > 0,
            "ndims": len(self.info.shape),
            "features": [list(config.encoder), list(config.decoder)],
            "conv_per_level": config.conv_per_level,
            "in_channels": self.info.channels,
        }

    def build(self) -> nn.Module:
        return VxmStructureDetector(**self.arguments())

    def start_from(self, network: nn.Module, path: str) -> None:
        """As of `Task`; where the network finds no borders, the weights for them stay those of the start."""
        weights = network.state_dict()
        if self.config.border_weight and not getattr(network, "borders", True):
            for name, own in self.network.state_dict().items():
                known = weights.get(name)
                if known is not None and known.shape[1:] == own.shape[1:] and len(known) < len(own):
                    weights[name] = torch.cat([known, own[len(known) :]])
        fill(self.network, weights, path)

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        weight = self.config.border_weight
        with torch.no_grad():
            made = self.synthesise(batch.fixed_labels, sample_generators(self.config.seed, batch, FIXED))
            place = self.places(made.labels)
            borders = self.borders(made.labels) if weight else None
        self.show(made.image, borders)
        logits, found = self.network.parts(network(made.image))
        return weighted(
            {
                "entropy": (1.0, lambda: functional.cross_entropy(logits, place[:, 0])),
                "overlap": (self.config.dice_weight, lambda: self._overlap_loss(logits, place)),
                "borders": (weight, lambda: border_loss(found, borders)),
            }
        )

    def synthesise(self, labels: Tensor, generators: list[torch.Generator], still: bool = False) -> Synthesised:
        """An image of every map (B, 1, *shape), with the map that it shows.

        Args:
            labels: maps.
            generators: one for each, on the CPU.
            still: keep the maps where they are, whole.
        """
        made, step = [], self.config.step
        for one, random in zip(labels.split(1), generators):
            one = one[(..., *(slice(None, None, step),) * 3)] if still else self._moved(one, random)
            strip = bool(torch.rand((), generator=random) < self.config.strip)
            one = self._stripped(one, random) if strip else one
            made.append(self._image(one, random, strip))
        return joined(made)

    def places(self, labels: Tensor) -> Tensor:
        """(B, 1, *shape), int64: number of the structure of every label, 0 of the background."""
        return look_up(labels, sorted(self._place), [self._place[label] for label in sorted(self._place)])

    def borders(self, labels: Tensor) -> Tensor:
        """`border_tensor` of all labels of maps, where both sides of a structure, which look alike, are one."""
        sides = sides_merged(labels_of(labels))
        merged = look_up(labels, list(sides), list(sides.values()))
        return border_tensor(merged, sorted(set(sides.values())))

    def validation_batch(self, batch: Batch) -> Batch:
        """Pairs of a validation list are real; of maps that were held back, the moving one is brought to the fixed one
        by an affine map, and both become images, always the same."""
        if self.config.validation_list:
            return batch
        matrix = labels_to_labels(batch.fixed_labels, batch.moving_labels, self.info.labels)
        displacement = affine_to_displacement(matrix, batch.fixed_labels.shape[2:], shift_center=False)
        placed = warp(batch.moving_labels, displacement, "nearest", "hard")
        moving, fixed = (
            self.synthesise(labels, sample_generators(self.config.seed, batch, stream), still=True)
            for labels, stream in ((placed, MOVING), (batch.fixed_labels, FIXED))
        )
        return of_made(batch, moving, fixed)

    def _moved(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """A part of a map (1, 1, *shape), moved at random and perhaps mirrored, on the voxels of the images."""
        config = self.config
        motion = LabelMotion(half_res=config.half_resolution, **config.motion())
        samples = samples_of([random], labels.device)
        part = tuple(map(min, config.patch or labels.shape[2:], labels.shape[2:]))
        affine = motion.affine_map(samples[0], len(part))
        _velocity, displacement = motion.deformation(tuple(n // config.step for n in part), samples, None)
        moved = motion.moved(labels, part, config.step, affine, displacement, samples)
        return moved if config.sides or torch.rand((), generator=random) < 0.5 else moved.flip(2)

    def _image(self, labels: Tensor, random: torch.Generator, strip: bool) -> Synthesised:
        """The image of one map, which stays where it is."""
        config = self.config
        sides = sides_merged(labels_of(labels))
        alike = bool(torch.rand((), generator=random) < config.alike)
        means = tissue_means(sorted(set(sides.values())), self._tissues if alike else (), random)
        black = BLACK_STRIPPED if strip else BLACK
        return made_image(labels, random, config, sides, black, mean_min=means, mean_max=means)

    def _stripped(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """A map without what is no structure, some with a rim around them."""
        inside = self.places(labels) > 0
        if torch.rand((), generator=random) < RIM:
            width = int(torch.randint(1, WIDEST_RIM + 1, (), generator=random))
            inside = functional.max_pool3d(inside.float(), 2 * width + 1, 1, width) > 0
        return labels * inside

    def _overlap_loss(self, logits: Tensor, place: Tensor) -> Tensor:
        """1 minus the mean overlap of the structures that the images show."""
        members = one_hot(place, range(1, 1 + len(self.structures)))
        overlap, _occurs = soft_dice(members, logits.softmax(1)[:, 1:])
        shown = members.flatten(2).amax(2)
        return 1 - (overlap * shown).sum() / shown.sum().clamp(min=1)
