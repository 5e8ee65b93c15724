"""Checkpoints: everything that a training needs to resume, in one file that is written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError, WeightsError
from ..core.io.files import check_readable, replacing
from ..weights.torch_file import read_torch_file
from .data.case import DatasetInfo
from .options import FREE_ON_RESUME, TrainingConfig

FORMAT = 1
KEYS = ("format", "recipe", "config", "step", "network", "optimiser", "schedule", "ema", "best", "facts", "epoch")
#: Types of their values, and keys that some have.
_TYPES: dict[str, Any] = {
    "recipe": str,
    "config": dict,
    "step": int,
    "network": dict,
    "optimiser": dict,
    "schedule": dict,
    "ema": (dict, type(None)),
    "best": dict,
    "facts": dict,
    "epoch": dict,
}
_INNER = {
    "best": ("value", "variant", "step", "waited"),
    "facts": ("shape", "channels", "labels", "attributes"),
}
FOLDER, LAST, BEST = "checkpoints", "last.pt", "best.pt"
_REMEDY = "Choose a last.pt or best.pt that a training wrote, or train anew in another folder."


class NoCheckpointError(WeightsError):
    """A file of tensors holds something else than a checkpoint, perhaps the weights of a network alone."""


class OtherNetworkError(WeightsError):
    """Weights have the names or the shapes of another network than the one that they are to fill."""


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Replace an older checkpoint, which stays when anything fails.

    Args:
        path: in a folder that exists.
        checkpoint: `KEYS`, of tensors and plain values.

    Raises:
        OutputError: the folder cannot be written or is full.
    """
    memory = io.BytesIO()
    torch.save(dict(checkpoint), memory)  # into a file, torch would report a full disk as its own fault
    with replacing(path, memory.tell()) as file:
        file.write_bytes(memory.getbuffer())


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU; nothing in the file is executed.

    Returns:
        "format" 1; "recipe", its name; "config", its values; "step", how many are done; "rate", the learning rate of
        the last one; "network", the tensors by name; "optimiser" and "schedule", their states; "ema", the moving
        average of the network's tensors, or None; "best", the best validation so far; "facts", see `plain_info`;
        "epoch", the sums of an epoch that is not over. Files of earlier versions lack "rate", and "intensities" and
        "described" in "facts".

    Raises:
        NoCheckpointError: the file holds something else.
        WeightsError: the file is missing or damaged, or another version wrote it.
    """
    path = check_readable(path, WeightsError)
    checkpoint = read_torch_file(path, _REMEDY)
    if not isinstance(checkpoint, dict) or not set(KEYS) <= set(checkpoint):
        raise NoCheckpointError(f"{path} is no checkpoint of a training. {_REMEDY}")
    if checkpoint["format"] != FORMAT:
        raise WeightsError(
            f"{path} has the checkpoint format {checkpoint['format']!r}; this version reads {FORMAT}. "
            "Use the version of VoxelMorph that wrote it."
        )
    problem = _problem(checkpoint)
    if problem:
        raise WeightsError(f"{path} is damaged: {problem}. {_REMEDY}")
    return checkpoint


def _problem(checkpoint: Mapping[str, Any]) -> str:
    """What no training writes into a checkpoint, in words; "" for a sound one."""
    for name, kind in _TYPES.items():
        if not isinstance(checkpoint[name], kind):
            return f"its {name} is of the type {type(checkpoint[name]).__name__}"
    for name, keys in _INNER.items():
        missing = [key for key in keys if key not in checkpoint[name]]
        if missing:
            return f"its {name} lacks {', '.join(missing)}"
    for name in ("network", "ema"):
        if not all(isinstance(key, str) and isinstance(t, Tensor) for key, t in (checkpoint[name] or {}).items()):
            return f"its {name} holds something else than named tensors"
    steps = [checkpoint["config"].get(name) for name in ("epochs", "steps_per_epoch")]
    last = steps[0] * steps[1] if all(type(n) is int for n in steps) else None
    step = checkpoint["step"]
    if isinstance(step, bool) or step < 0 or (last is not None and step > last):
        return f"its step is {step}" + (f" of {last}" if last is not None else "")
    return ""


def trained_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights to use: their moving average where the training kept one."""
    return checkpoint["ema"] or checkpoint["network"]


def plain_info(info: DatasetInfo) -> dict[str, Any]:
    """What a checkpoint keeps of the dataset info, as plain values."""
    plain = {name: getattr(info, name) for name in ("shape", "channels", "labels", "attributes", "intensities")}
    return {**plain, "described": [attribute.to_dict() for attribute in info.described]}


def check_same_training(path: Path, checkpoint: Mapping[str, Any], config: TrainingConfig, info: DatasetInfo) -> None:
    """Refuse to resume a training as a different one.

    Raises:
        ConfigError: an option that decides the weights, or the data, have changed.
        WeightsError: the checkpoint is of another recipe.
    """
    if checkpoint["recipe"] != config.recipe:
        raise WeightsError(
            f"{path} was trained with the recipe {checkpoint['recipe']!r}, not {config.recipe!r}. {_REMEDY}"
        )
    before, now = _plain(checkpoint["config"]), _plain(config.to_dict())
    names = sorted(set(before) | set(now))
    changed = [name for name in names if name not in FREE_ON_RESUME and before.get(name) != now.get(name)]
    if changed:
        values = ", ".join(f"{name} (was {before.get(name)!r}, is {now.get(name)!r})" for name in changed)
        raise ConfigError(
            f"A training cannot be resumed with other values of {values}. Restore them, or train anew in another "
            "folder."
        )
    before, now = _plain(checkpoint["facts"]), _plain(plain_info(info))
    if info.described and "described" not in before:
        raise ConfigError(
            f"{path} is of an earlier version, which did not standardise attributes. Train anew in another folder."
        )
    changed = [
        f"{name} (was {before[name]}, is {now[name]})" for name in now if before.get(name, now[name]) != now[name]
    ]
    if changed:
        raise ConfigError(
            f"The data have changed since {path} was written: {', '.join(changed)}. Restore them, or train anew in "
            "another folder."
        )


def fill(module: torch.nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a module that has exactly these tensors.

    Raises:
        OtherNetworkError: the tensors belong to another architecture.
    """
    own = module.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [
        name for name in own if tuple(own[name].shape) != tuple(weights[name].shape)
    ]
    if wrong:
        some = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise OtherNetworkError(
            f"{path} belongs to another architecture than this recipe's: {some} are missing, foreign or of another "
            f"shape. {_REMEDY}"
        )
    module.load_state_dict(weights)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON returns them, so that tuples equal lists."""
    return json.loads(json.dumps(dict(values)))
