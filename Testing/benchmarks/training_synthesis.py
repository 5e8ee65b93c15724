"""Whether making images keeps up: random shapes in both orders of operations, synthesis beside the training step."""

from __future__ import annotations

import torch
from VoxelMorphLib.synth.shapes import random_shapes, shapes_as_the_original
from VoxelMorphLib.training.data.case import Batch, DatasetInfo
from VoxelMorphLib.training.recipes import make_config, make_task
from VoxelMorphLib.training.task import Task
from VoxelMorphLib.training.trainer import without_denormals

from .clock import processor_seconds
from .row import Row
from .settings import Settings

#: Of random shapes, and of the images of the training step.
SHAPE, STEP_SHAPE = (96, 96, 96), (48, 64, 64)
LABELS = 16


def measure_synthesis(settings: Settings) -> list[Row]:
    """Maps of shapes per second, and pairs of images per second, of the processor on one thread."""
    torch.set_num_threads(1)
    orders = {
        "as the original": lambda seed: shapes_as_the_original(SHAPE, _generators(seed), LABELS, False),
        "exactly": lambda seed: random_shapes(SHAPE, _generators(seed), LABELS, step=1),
        "every second voxel": lambda seed: random_shapes(SHAPE, _generators(seed), LABELS),
    }
    times = {name: _fastest(make, settings.repeats) for name, make in orders.items()}
    slow, note = times["as the original"], f"{'x'.join(map(str, SHAPE))}, {LABELS} labels with warps of their own"
    rows = [
        Row(
            "training",
            f"random shapes, {name}",
            1 / seconds,
            "maps/s CPU",
            "the original's order",
            slow / seconds,
            note,
        )
        for name, seconds in times.items()
    ]
    return [*rows, _beside_the_step(settings)]


def _beside_the_step(settings: Settings) -> Row:
    task, batch = _task(), _batch()
    with without_denormals():
        made = _fastest(lambda _round: task.synthesise(batch), settings.repeats)
        step = _fastest(lambda _round: _step(task, batch), settings.repeats)
    note = f"{'x'.join(map(str, STEP_SHAPE))}, {LABELS} labels, default network of the recipe synthmorph-labels"
    return Row("training", "synthesis of pairs", 1 / made, "pairs/s CPU", "the steps a second", step / made, note)


def _fastest(work, repeats: int) -> float:
    """Seconds of the processor in the best round; every round has a number."""
    return min(processor_seconds(lambda n=number: work(n)) for number in range(max(2, repeats)))


def _generators(seed: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed)]


def _task() -> Task:
    torch.manual_seed(0)
    return make_task(make_config("synthmorph-labels", {}), DatasetInfo(STEP_SHAPE, labels=tuple(range(1, LABELS))))


def _batch() -> Batch:
    maps = [random_shapes(STEP_SHAPE, _generators(seed), LABELS) for seed in (1, 2)]
    images = [labels.float() for labels in maps]
    return Batch((0,), ("shapes",), images[0], images[1], maps[0], maps[1])


def _step(task: Task, batch: Batch) -> None:
    sum(task.losses(task.network, batch, torch.Generator()).values()).backward()
