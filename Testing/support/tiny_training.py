"""A task and data so small that a training takes a moment, for everything that is not about recipes or files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.training.data.case import Batch, DatasetInfo, join
from VoxelMorphLib.training.launch import launched, start_fabric
from VoxelMorphLib.training.monitors.curves import FILE, Curves
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.task import Task
from VoxelMorphLib.training.trainer import Trainer

SHAPE = (12, 12, 12)
LABELS = (1, 2)


@dataclass(frozen=True)
class TinyConfig(TrainingConfig):
    """Of trainings that take a moment."""

    recipe: ClassVar[str] = "tiny"

    epochs: int = 3
    steps_per_epoch: int = 4
    validate_every: int = 1
    save_every: int = 1
    lr: float = 1e-3
    device: str = "cpu"


class TinyTask(Task):
    """A small VxmDense learns to register balls."""

    def build(self) -> nn.Module:
        return VxmDense(features=((4, 8), (8, 4)), int_steps=2)

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = network(batch.moving, batch.fixed)
        return {
            "image": (output.moved - batch.fixed).square().mean(),
            "penalty": 0.01 * output.regularised.square().mean(),
        }

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        return self.network, "VxmDense", {}


class TinyData:
    """Balls of random size and place, each from its number alone.

    Args:
        config: of the training.
        pairs: for validation.
        broken: numbers of samples that hold a NaN.
    """

    def __init__(self, config: TrainingConfig, pairs: int = 2, broken: tuple[int, ...] = ()):
        self.config, self.pairs, self.broken = config, pairs, broken
        self.info = DatasetInfo(SHAPE, labels=LABELS)

    def batches(self, first_step: int, steps: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        size, parts = self.config.batch_size, self.config.accumulate
        for part in range(first_step * parts, (first_step + steps) * parts):
            first = (part * world + rank) * size
            yield join([self.sample(number) for number in range(first, first + size)])

    def validation(self) -> Iterator[Batch]:
        return (self.sample(10_000 + number) for number in range(self.pairs))

    def sample(self, number: int) -> Batch:
        generator = torch.Generator().manual_seed(number)
        (fixed, fixed_labels), (moving, moving_labels) = (_ball(generator) for _ in range(2))
        if number in self.broken:
            fixed = fixed * float("nan")
        return Batch((number,), (f"m{number}.nii f{number}.nii",), fixed, moving, fixed_labels, moving_labels)


def _ball(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(1, 1, *SHAPE): image and label map of a ball with a core."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in SHAPE], indexing="ij"))
    centre = 5.5 + torch.randn(3, generator=generator)
    radius = 3 + torch.rand((), generator=generator)
    distance = (grid - centre.view(3, 1, 1, 1)).norm(dim=0)
    labels = (distance < radius).short() + (distance < radius / 2).short()
    return torch.sigmoid(radius - distance)[None, None], labels[None, None]


def tiny_trainer(
    config: TinyConfig, resume: bool = False, monitors=(), progress=None, curves: bool = False, fabric=None, **data: Any
) -> Trainer:
    """A trainer of balls, ready to run, which writes a table of curves where that is asked for."""
    if curves:
        monitors = [*monitors, Curves(Path(config.output_dir) / FILE)]
    fabric = fabric or start_fabric(config)
    torch.manual_seed(config.seed)
    source = TinyData(config, **data)
    task = TinyTask(config, source.info)
    trainer = Trainer(task, source, config, fabric, monitors, progress or (lambda _fraction, _text: None))
    if resume:
        trainer.resume()
    return trainer


def assert_same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Both hold the same tensors, bit for bit."""
    assert list(first) == list(second)
    for name in first:
        assert torch.equal(first[name], second[name]), name


def main(text: str, resume: str = "") -> None:
    """A training in a process of its own: `python tiny_training.py '{"epochs": 5}' [resume]`."""
    torch.set_num_threads(1)
    config = TinyConfig.from_dict(json.loads(text))
    steps = Path(config.output_dir) / "steps.txt"
    steps.parent.mkdir(exist_ok=True)

    def report(fraction: float, _text: str) -> None:
        steps.write_text(str(round(fraction * config.steps)), encoding="utf-8")

    with launched(config) as fabric:
        tiny_trainer(config, bool(resume), progress=report, curves=True, fabric=fabric).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
