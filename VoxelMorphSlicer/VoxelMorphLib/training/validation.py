"""Validation: how well a network registers pairs that it is not trained on, there and back, for every variant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.displacement import invert_displacement, jacobian_determinant
from ..core.metrics import folding, overlap
from ..core.spatial import warp
from ..core.tensors import as_array
from .data.case import Batch
from .launch import gather
from .task import Task
from .tasks.registration import image_term


@dataclass(frozen=True)
class Measures:
    """The quality of one variant, or of one pair.

    Args:
        dice: label -> mean Dice overlap of the moved moving labels with the fixed ones, of the pairs that have the
            label; empty without label maps. Of a network that finds labels itself, those of the fixed image.
        folded_percent: mean share of voxels that fold.
        image_loss: mean of the training's image loss of the moved moving image, without its weight.
        back_dice, back_image_loss: the same of the fixed labels and image, brought to the moving ones by the inverse;
            of labels that the network finds itself, those of the moving image.
    """

    dice: dict[int, float]
    folded_percent: float
    image_loss: float
    back_dice: dict[int, float]
    back_image_loss: float

    @property
    def mean_dice(self) -> float:
        """Moving to fixed, over the labels; NaN when there is none."""
        return _over_labels(self.dice)

    @property
    def mean_back_dice(self) -> float:
        """Fixed to moving, over the labels; NaN when there is none."""
        return _over_labels(self.back_dice)

    @property
    def value(self) -> float:
        """What decides which network is best: the mean Dice of both directions, or else the negative image loss."""
        if self.dice:
            return (self.mean_dice + self.mean_back_dice) / 2
        return -(self.image_loss + self.back_image_loss) / 2


@dataclass(frozen=True)
class Validation:
    """The measures of all variants after one epoch.

    Args:
        by_variant: name of the variant -> its measures; the name is empty where there is only one.
    """

    by_variant: dict[str, Measures]

    @property
    def best(self) -> str:
        """The best variant; without label maps, where the least smooth one would always win, the middle one."""
        if not any(measures.dice for measures in self.by_variant.values()):
            return list(self.by_variant)[len(self.by_variant) // 2]
        return max(self.by_variant, key=lambda name: _comparable(self.by_variant[name].value))

    @property
    def measures(self) -> Measures:
        """Of the best variant."""
        return self.by_variant[self.best]

    def row(self) -> dict[str, Any]:
        """Columns of the table of curves: those of the best variant, then each variant's own where there are many."""
        row = _columns(self.measures, labels=True)
        if len(self.by_variant) > 1:
            row["val_variant"] = self.best
            for variant, measures in self.by_variant.items():
                row.update({f"{name}@{variant}": value for name, value in _columns(measures, labels=False).items()})
        return row


@dataclass(frozen=True)
class Registered:
    """One registered validation pair, to be drawn.

    Args:
        name: of the images.
        variant: of the task.
        fixed, moving, moved: (*shape), the first channel.
        displacement: (3, *shape), voxels.
    """

    name: str
    variant: str
    fixed: np.ndarray
    moving: np.ndarray
    moved: np.ndarray
    displacement: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """What is drawn after an epoch; empty where it was not validated.

    Args:
        pairs: registered validation pairs.
        images: (*shape) by name, what the network has learned.
        made: (*shape) by name, images that were made for the last step.
    """

    pairs: tuple[Registered, ...] = ()
    images: dict[str, np.ndarray] = field(default_factory=dict)
    made: dict[str, np.ndarray] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.pairs or self.images or self.made)


class Validator:
    """Registers the validation pairs; each process takes its share of them.

    Args:
        task: knows its variants and how its network registers.
        data: has `validation()`, batches of one pair.
        fabric: gives device, precision and the other processes.
    """

    def __init__(self, task: Task, data: Any, fabric: Any):
        self.task, self.data, self.fabric = task, data, fabric
        self._loss = image_term(task.config)
        self._measured: list[tuple[str, Measures]] = []

    def __call__(self, network: nn.Module, pictures: int = 0) -> tuple[Validation | None, Pictures]:
        """Validate a network, in evaluation mode meanwhile.

        Args:
            network: the task's own or one like it, not wrapped for several processes.
            pictures: how many pairs to draw, registered with the first variant.

        Returns:
            The measures, None without validation pairs, and the pictures of this process.
        """
        training, drawn = network.training, []
        self._measured = []
        network.eval()
        images: dict[str, np.ndarray] = {}
        made = {name: array_of(image)[0] for name, image in self.task.previews().items()} if pictures else {}
        try:
            with torch.no_grad():  # in float32 whatever the training's precision, as the network will be used
                for batch in map(self.task.validation_batch, self._share()):
                    drawn += self._register(network, batch, len(drawn) < pictures)
                images = {name: array_of(image) for name, image in self.task.images().items()} if pictures else {}
        finally:
            network.train(training)
        return _summary(gather(self.fabric, self._measured)), Pictures(tuple(drawn), images, made)

    def _share(self) -> Iterator[Batch]:
        rank, world = self.fabric.global_rank, self.fabric.world_size
        for index, batch in enumerate(self.data.validation()):
            if index % world == rank:
                yield batch.to(self.fabric.device)

    def _register(self, network: nn.Module, batch: Batch, draw: bool) -> list[Registered]:
        drawn = []
        for index, variant in enumerate(self.task.variants()):
            fields = self.task.fields(network, batch.moving, batch.fixed, variant)
            displacement = fields.displacement.float()
            inverse = invert_displacement(displacement)[0] if fields.inverse is None else fields.inverse.float()
            moved = warp(batch.moving, displacement)
            measures = self._measures(batch, moved, displacement, inverse, self._found(network, batch))
            self._measured.append((variant, measures))
            if draw and index == 0:
                fixed, moving, warped = (array_of(image)[0] for image in (batch.fixed, batch.moving, moved))
                drawn.append(Registered(batch.names[0], variant, fixed, moving, warped, array_of(displacement)))
        return drawn

    def _found(self, network: nn.Module, batch: Batch) -> tuple[dict[int, float], dict[int, float]] | None:
        """Dice of the labels that the network itself finds in the fixed and in the moving image; None for none."""
        if batch.fixed_labels is None or batch.moving_labels is None:
            return None
        pairs = ((batch.fixed, batch.fixed_labels), (batch.moving, batch.moving_labels))
        found = [(self.task.labels_of(network, image), labels) for image, labels in pairs]
        there, back = ({} if seen is None else self._overlap(labels, seen) for seen, labels in found)
        return (there, back) if there or back else None

    def _measures(
        self,
        batch: Batch,
        moved: Tensor,
        displacement: Tensor,
        inverse: Tensor,
        found: tuple[dict[int, float], dict[int, float]] | None,
    ) -> Measures:
        there, back = found or (
            self._dice(batch.fixed_labels, batch.moving_labels, displacement),
            self._dice(batch.moving_labels, batch.fixed_labels, inverse),
        )
        return Measures(
            dice=there,
            folded_percent=folding(array_of(jacobian_determinant(displacement))).percent,
            image_loss=float(self._loss(batch.fixed, moved)),
            back_dice=back,
            back_image_loss=float(self._loss(batch.moving, warp(batch.fixed, inverse))),
        )

    def _dice(self, still: Tensor | None, moving: Tensor | None, displacement: Tensor) -> dict[int, float]:
        if still is None or moving is None:
            return {}
        return self._overlap(still, warp(moving.float(), displacement, interpolation="nearest"))

    def _overlap(self, still: Tensor, moved: Tensor) -> dict[int, float]:
        labels = self.task.info.labels or None
        return dict(overlap(array_of(still), array_of(moved), labels).by_label)


def array_of(tensor: Tensor) -> np.ndarray:
    """(*rest): the first of a batch as an array."""
    return as_array(tensor[0])


def _summary(measured: list[tuple[str, Measures]]) -> Validation | None:
    variants = list(dict.fromkeys(variant for variant, _ in measured))
    together = {name: [measures for variant, measures in measured if variant == name] for name in variants}
    return Validation({name: _mean(values) for name, values in together.items()}) if measured else None


def _mean(values: list[Measures]) -> Measures:
    return Measures(
        dice=_mean_by_label([measures.dice for measures in values]),
        folded_percent=float(np.mean([measures.folded_percent for measures in values])),
        image_loss=float(np.mean([measures.image_loss for measures in values])),
        back_dice=_mean_by_label([measures.back_dice for measures in values]),
        back_image_loss=float(np.mean([measures.back_image_loss for measures in values])),
    )


def _mean_by_label(found: list[dict[int, float]]) -> dict[int, float]:
    labels = sorted({label for dice in found for label in dice})
    return {label: float(np.mean([dice[label] for dice in found if label in dice])) for label in labels}


def _over_labels(dice: dict[int, float]) -> float:
    return sum(dice.values()) / len(dice) if dice else math.nan


def _columns(measures: Measures, labels: bool) -> dict[str, float]:
    row = {"val_dice": measures.mean_dice, "val_back_dice": measures.mean_back_dice} if measures.dice else {}
    if labels:
        row.update({f"val_dice_{label}": value for label, value in measures.dice.items()})
        row.update({f"val_back_dice_{label}": value for label, value in measures.back_dice.items()})
    return {
        **row,
        "val_folded_percent": measures.folded_percent,
        "val_image_loss": measures.image_loss,
        "val_back_image_loss": measures.back_image_loss,
    }


def _comparable(value: float) -> float:
    return -math.inf if math.isnan(value) else value
