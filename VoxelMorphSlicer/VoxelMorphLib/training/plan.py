"""The plan of a training before it begins: its data and network, the memory it needs, and the time of one step."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from ..core.devices import resolve_device
from ..core.progress import Progress, silent
from .build import build_training
from .data.augment import augment
from .data.training_data import TrainingData
from .launch import start_fabric
from .memory_estimate import check_fits, format_bytes, free_memory, step_memory
from .optimisation import Optimisation
from .options import TrainingConfig
from .recipes import RECIPES
from .task import Task


@dataclass(frozen=True)
class Plan:
    """What a training would do, in plain values.

    Args:
        config: of the training.
        images: that are trained on.
        pairs: that these make; None where every image is used alone.
        validation_pairs: how many.
        skipped: images that cannot be read, and why.
        shape: of the training space.
        channels: of the images.
        labels: values of the label maps.
        network: name of the class.
        parameters: of the network.
        losses: weighted terms of the timed step by name; the network is new.
        device: that trains.
        needed_bytes: of memory for a step, estimated.
        free_bytes: of memory on the device; None where that is unknown.
        data_s: seconds to load and prepare the batch of the timed step.
        step_s: seconds of the step itself.
    """

    config: TrainingConfig
    images: int
    pairs: int | None
    validation_pairs: int
    skipped: dict[str, str]
    shape: tuple[int, ...]
    channels: int
    labels: tuple[int, ...]
    network: str
    parameters: int
    losses: dict[str, float]
    device: str
    needed_bytes: int
    free_bytes: int | None
    data_s: float
    step_s: float

    def lines(self) -> list[str]:
        """The plan in words."""
        config, hours = self.config, self.config.steps * (self.step_s + self.data_s) / 3600
        pairs = "" if self.pairs is None else f", {self.pairs} pairs"
        labels = ", ".join(map(str, self.labels)) or "none"
        free = "" if self.free_bytes is None else f", {format_bytes(self.free_bytes)} are free"
        samples = f"{config.batch_size} x {config.accumulate}" if config.accumulate > 1 else config.batch_size
        return [
            f"Recipe:      {config.recipe} ({RECIPES[config.recipe].title})",
            f"Images:      {self.images}{pairs}; {self.validation_pairs} validation pairs; labels: {labels}",
            *(f"Left out:    {name}: {reason}" for name, reason in self.skipped.items()),
            f"Space:       {' x '.join(map(str, self.shape))} voxels, {self.channels} channel(s)",
            f"Network:     {self.network}, {self.parameters} parameters",
            f"Steps:       {config.steps} ({config.epochs} epochs of {config.steps_per_epoch}), {samples} samples each",
            f"First loss:  {', '.join(f'{name} {value:.4g}' for name, value in self.losses.items())}",
            f"Memory:      about {format_bytes(self.needed_bytes)} for a step on {self.device}{free}",
            f"Time:        {self.step_s:.3f} s for a step, {self.data_s:.3f} s for its data; {hours:.1f} h in all",
        ]


def make_plan(config: TrainingConfig, progress: Progress = silent) -> Plan:
    """Read the data, build the network, and make two steps, the second of which is timed; nothing is kept.

    Args:
        config: of the training.
        progress: of the stages; may raise `Cancelled`.

    Raises:
        ConfigError: the data lack what the recipe needs.
        DeviceError: this machine has no such device, or its memory does not suffice.
        ImageError: an image cannot be used.
    """
    device = resolve_device(config.device)
    progress(0.0, "Reading the images")
    task, data = build_training(config)
    info, network = task.info, task.published()[0]
    progress(0.5, "Estimating the memory")
    needed, free = step_memory(config, info), free_memory(device)
    check_fits(config, info, device)
    progress(0.6, "Timing one step")
    data_s, step_s, losses = _timed_step(config, task, data)
    progress(1.0, "The plan is ready")
    return Plan(
        config=config,
        images=len(data.cases),
        pairs=_pairs(config, task, data),
        validation_pairs=len(data.validation_pairs),
        skipped=dict(data.skipped),
        shape=tuple(info.shape),
        channels=info.channels,
        labels=tuple(info.labels),
        network=type(network).__name__,
        parameters=sum(parameter.numel() for parameter in task.network.parameters()),
        losses=losses,
        device=device,
        needed_bytes=needed,
        free_bytes=free,
        data_s=data_s,
        step_s=step_s,
    )


def _pairs(config: TrainingConfig, task: Task, data: TrainingData) -> int | None:
    images = len(data.cases)
    if task.samples != "pair":
        return None
    return len(data.pairs) or images * (1 if config.atlas else images - 1)


def _timed_step(config: TrainingConfig, task: Task, data: TrainingData) -> tuple[float, float, dict[str, float]]:
    """Seconds of loading and of computing the second step, and the losses of the first one."""
    config = dataclasses.replace(config, devices=1, nodes=1, workers=0)
    fabric = start_fabric(config)
    optimisation = Optimisation(task, config, fabric)
    task.network.train()
    batches, clock, times = data.batches(0, 2), time.perf_counter, []
    losses: dict[str, float] = {}
    for number in range(2):
        start = clock()
        step = [augment(next(batches).to(fabric.device), config) for _ in range(config.accumulate)]
        loaded = clock()
        optimisation.step(number, step)
        losses = losses or optimisation.losses.means()  # waits for the device
        optimisation.check_finite()  # does too
        times.append((loaded - start, clock() - loaded))
    return (*times[1], losses)
