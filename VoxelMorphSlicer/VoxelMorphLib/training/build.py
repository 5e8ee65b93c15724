"""Build what a configuration asks for: the data and the task of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ConfigError, WeightsError
from ..core.options import options_of
from ..weights.load import load_network
from .checkpoint import NoCheckpointError, OtherNetworkError, fill, load_checkpoint, trained_weights
from .data.case import Intensities
from .data.shapes_data import ShapesData
from .data.training_data import TrainingData
from .first_weights import start_with_demons
from .launch import requested_processes
from .memory_estimate import format_bytes, free_memory
from .options import TrainingConfig
from .recipes import make_task, task_class
from .task import Task


def build_training(config: TrainingConfig, intensities: Intensities | None = None) -> tuple[Task, TrainingData]:
    """Read the lists, scan the images and build the network that fits them; one seed always gives the same network.

    Args:
        config: of the training.
        intensities: of `DatasetInfo`, from a checkpoint of this training, in case the file with them is gone.

    Raises:
        ConfigError: the data lack what the recipe needs, or do not fit into the memory that is to keep them.
        ImageError: a list or an image cannot be used.
        WeightsError: the weights to start from do not fit.
    """
    config.check_sources()
    kind = task_class(config.recipe)
    source = ShapesData if config.images == "none" else TrainingData
    data = source(config, 2 ** len(config.encoder), kind.samples)
    check_cache(config, data.bytes_in_memory(kind.derived_bytes(config, data.shape, data.store.space.labels)))
    info = dataclasses.replace(data.info(kind.needs_mean), intensities=intensities)
    torch.manual_seed(config.seed)
    task = make_task(config, info)
    if kind.derive is not Task.derive:
        data.derive = task.derive
    if config.init_weights and not kind.reads_init_weights:
        load_start_weights(task, config.init_weights)
    elif config.first_weights == "demons":
        start_with_demons(task.network)
    return task, data


def check_cache(config: TrainingConfig, size: int) -> None:
    """Refuse to keep prepared images in memory where they do not fit; called before any of them is loaded.

    Args:
        config: of the training; each of its processes on this machine keeps all images.
        size: bytes of all images and of what the recipe derives from them.

    Raises:
        ConfigError: they need more than is free.
    """
    processes, _machines = requested_processes(config)
    needed, free = size * processes, free_memory("cpu")
    if config.cache == "memory" and free is not None and needed > free:
        raise ConfigError(
            f"The prepared images take {format_bytes(needed)} of memory in {processes} process(es) and "
            f'{format_bytes(free)} is free. Set cache to "disk" or "none".'
        )


def load_start_weights(task: Task, path: str) -> None:
    """Fill the network of a task with trained weights.

    Args:
        task: of the same architecture.
        path: of a checkpoint of the same recipe, or of any weights file of the network that the recipe publishes.

    Raises:
        WeightsError: the file is damaged or of another architecture.
    """
    known: Mapping[str, Any] = {}
    try:
        if path.endswith(".pt"):
            with suppress(NoCheckpointError):  # a file of weights alone
                checkpoint = load_checkpoint(path)
                known = checkpoint["config"]
                return fill(task.network, trained_weights(checkpoint), Path(path))
        network, entry = load_network(path)
        known = _layers(entry.arguments)
        return task.start_from(network, path)
    except OtherNetworkError as error:
        raise WeightsError(
            f"{path} holds a network of other layers than this training's. {_how_to_build(known, task.config)}"
        ) from error


#: Options that decide the layers of every network.
_LAYERS = ("encoder", "decoder", "svf_resolution")


def _layers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those options as far as the arguments of a network tell them."""
    features = arguments.get("features")
    sides = dict(zip(_LAYERS, features)) if isinstance(features, (list, tuple)) and len(features) == 2 else {}
    return {**sides, **{name: arguments[name] for name in _LAYERS if name in arguments}}


def _how_to_build(known: Mapping[str, Any], config: TrainingConfig) -> str:
    """How to get the network of a file whose options are known as far as possible, as a sentence."""
    options = options_of(type(config))
    said = {name: options[name].text(known[name]) for name in _LAYERS if name in known}
    differing = [f"{name} {text}" for name, text in said.items() if options[name].parse(text) != getattr(config, name)]
    if differing:
        return f"Train with those of the file, {', '.join(differing)}, or choose another file."
    return "Give encoder, decoder and the other options of the network the values that it was trained with."
