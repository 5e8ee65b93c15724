"""Training, checking its data and exporting models, each in a process of the train command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConfigError
from ...core.progress import Progress, silent
from ...weights.own_models import check_id
from ..background.child_process import ChildProcess, train_command
from ..background.steps import Steps
from .training_settings import arguments_of

if TYPE_CHECKING:
    from ...training.options import TrainingConfig


def training_steps(
    config: TrainingConfig, progress: Progress = silent, resume: bool = False, command: Sequence[str] | None = None
) -> Steps:
    """Train a network; cancelling saves the last checkpoint, cancelling twice ends the process at once.

    Args:
        config: of the training.
        progress: called with a fraction and a text.
        resume: continue the training in `config.output_dir`; options at their defaults keep their earlier values.
        command: to start instead of the train command.

    Returns:
        The lines that the command printed.

    Raises:
        WorkerError: the process could not be started, or failed.
        Cancelled: the training was stopped; a checkpoint that was written is complete.
    """
    return (yield ChildProcess([*(command or train_command()), *arguments_of(config, resume)], progress))


def check_steps(config: TrainingConfig, progress: Progress = silent, command: Sequence[str] | None = None) -> Steps:
    """Read the data and time one step; returns the plan as text. The arguments are those of `training_steps`."""
    return (yield ChildProcess([*(command or train_command()), *arguments_of(config), "--dryRun"], progress))


def model_steps(
    checkpoint: str | Path,
    name: str,
    progress: Progress = silent,
    replace: bool = False,
    command: Sequence[str] | None = None,
) -> Steps:
    """Export a checkpoint to the model list, under `model_id(name)`; see `training_steps`.

    Args:
        checkpoint: "best.pt" or "last.pt" of a training.
        name: shown in the model list.
        progress: called with a fraction and a text.
        replace: whether to replace a model of the user's that has the same id.
        command: to start instead of the train command.

    Raises:
        ConfigError: the id cannot be used or is taken.
    """
    identifier = model_id(name)
    check_id(identifier, replace)
    words = [f"--export={checkpoint}", "--addToModels", f"--modelId={identifier}", f"--modelTitle={name}"]
    words += ["--replaceModel"] * replace
    return (yield ChildProcess([*(command or train_command()), *words], progress))


def model_id(name: str) -> str:
    """The id of a user's model of that name.

    Raises:
        ConfigError: the name has no letter or digit.
    """
    identifier = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    if not identifier:
        raise ConfigError(f"{name!r} is no name for a model. Give one with letters or digits.")
    return identifier
