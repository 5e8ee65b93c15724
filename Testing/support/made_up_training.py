"""Made-up data and small configurations for every recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from VoxelMorphLib.training.data.case import Batch, DatasetInfo
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.recipes import make_config, make_task
from VoxelMorphLib.training.task import Task

SHAPE = (16, 16, 16)
LABELS = (3, 7)
#: A network of a few thousand weights.
SMALL = {"encoder": (4, 8), "decoder": (8, 8, 4)}


#: What keeps the networks of some recipes small too.
OWN: dict[str, dict[str, Any]] = {
    "synthmorph-shapes": {"shape": SHAPE, "shape_labels": 4},
    "synthmorph-borders": {"shape": SHAPE, "shape_labels": 6},
    "synthmorph-affine": {"features": 6, "max_rotation": 10.0, "max_shift": 1.0, "cropped": 0.0, "thick": 0.0},
    "synthmorph-joint": {"hyper_layers": 2, "hyper_units": 8, "sweep": 2},
    "hypermorph": {"hyper_layers": 2, "hyper_units": 8, "sweep": 3},
}


def a_config(recipe: str, **values: Any) -> TrainingConfig:
    return make_config(recipe, {**SMALL, **OWN.get(recipe, {}), **values})


def some_info(**values: Any) -> DatasetInfo:
    image, labels = a_scan(0)
    known = {"labels": LABELS, "attributes": 1, "mean": image, "atlas": image, "atlas_labels": labels}
    return DatasetInfo(**{"shape": SHAPE, **known, **values})


def a_task(recipe: str, info: DatasetInfo | None = None, **values: Any) -> Task:
    torch.manual_seed(0)
    return make_task(a_config(recipe, **values), info or some_info())


def a_scan(number: int) -> tuple[Tensor, Tensor]:
    """An image (1, *SHAPE) of two balls, each darker inside, and their labels (1, *SHAPE)."""
    generator = torch.Generator().manual_seed(number)
    places = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij"))
    image, labels = torch.zeros(1, *SHAPE), torch.zeros(1, *SHAPE, dtype=torch.int16)
    for label, middle in zip(LABELS, (5.0, 10.0)):
        centre = middle + 2 * torch.rand(3, 1, 1, 1, generator=generator) - 1
        radius = (places - centre).norm(dim=0)
        image[0] += torch.sigmoid(2 * (3 - radius)) * (0.5 + 0.1 * label / 2)
        labels[0][radius < 3] = label
    return image + 0.02 * torch.rand(1, *SHAPE, generator=generator), labels


def a_batch(task: Task, size: int = 1, first: int = 0) -> Batch:
    """What the data give to a task: pairs, or single images."""
    fixed = [a_scan(2 * (first + i)) for i in range(size)]
    moving = [a_scan(2 * (first + i) + 1) for i in range(size)] if task.samples == "pair" else None
    extras = {}
    for side, scans in (("fixed", fixed), ("moving", moving or [])):
        derived = [task.derive(*scan) for scan in scans]
        for name in derived[0] if derived else ():
            extras[f"{side}_{name}"] = torch.stack([values[name] for values in derived])
    return Batch(
        numbers=tuple(range(first, first + size)),
        names=tuple(f"scan{i}" for i in range(size)),
        fixed=torch.stack([image for image, _ in fixed]),
        fixed_labels=torch.stack([labels for _, labels in fixed]),
        moving=torch.stack([image for image, _ in moving]) if moving else None,
        moving_labels=torch.stack([labels for _, labels in moving]) if moving else None,
        attributes=torch.linspace(-1, 1, size)[:, None],
        extras=extras,
    )


def losses(task: Task, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    return task.losses(task.network.train(), batch, torch.Generator().manual_seed(seed))


def train(task: Task, batch: Batch, steps: int = 3, lr: float = 1e-3) -> list[float]:
    """The total loss before each step of Adam, and after the last one."""
    optimiser = torch.optim.Adam(task.network.parameters(), lr)
    history = []
    for _ in range(steps):
        total = sum(losses(task, batch).values())
        history.append(total.item())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return [*history, sum(losses(task, batch).values()).item()]
