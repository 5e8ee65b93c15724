"""TrainingLogic: trainings of networks, each by a process of its own; no widget is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from ..core.progress import Progress, silent
from .background.training_process import Failed, Finished, TrainingProcess
from .install import TRAINING, Ask, ensure

if TYPE_CHECKING:
    from ..training.options import TrainingConfig
    from ..training.recipes import Recipe
    from .scene.curve_nodes import Curves


class TrainingLogic:
    """The part of the module's logic that trains.

    `train`, `checkTraining` and `addTrainedModel` start a process and return at once: `poll()` of their answer calls
    back, `wait()` does so until the end, `stop()` lets a training save and end. A process that could not be started
    is a `WorkerError`.
    """

    def recipes(self) -> list[Recipe]:
        """The kinds of training in the order in which they are offered."""
        from ..training.recipes import RECIPES

        return list(RECIPES.values())

    def trainingConfig(self, recipe: str = "pairwise", **values: Any) -> TrainingConfig:
        """The options of a training; `help()` of its class lists them all.

        Args:
            recipe: name of one of `recipes`.
            values: options that shall differ from the recipe's defaults.

        Raises:
            ConfigError: an option is unknown or impossible.
        """
        from ..training.recipes import make_config

        return make_config(recipe, values)

    def ensureTrainingPackages(self, ask: Ask) -> None:
        """Install what a training lacks, after one question; see `VoxelMorphLogic.ensurePackages`."""
        ensure(TRAINING, ask)

    def train(
        self,
        config: TrainingConfig,
        onProgress: Progress = silent,
        onFinished: Finished = lambda _lines: None,
        onFailed: Failed = lambda _error: None,
        resume: bool = False,
        command: Sequence[str] | None = None,
    ) -> TrainingProcess:
        """Begin a training.

        Args:
            config: of the training.
            onProgress: called with a fraction and a text.
            onFinished: called with the lines that the command printed, once the last epoch is done.
            onFailed: called with what went wrong, `Cancelled` included.
            resume: go on with the training in `config.output_dir`; options that have their defaults stay as they were.
            command: what to start instead of the train command.
        """
        from .actions.training_settings import arguments_of

        return TrainingProcess(arguments_of(config, resume), onProgress, onFinished, onFailed, command)

    def checkTraining(
        self,
        config: TrainingConfig,
        onProgress: Progress = silent,
        onFinished: Finished = lambda _lines: None,
        onFailed: Failed = lambda _error: None,
        command: Sequence[str] | None = None,
    ) -> TrainingProcess:
        """Read the data and time one step; `onFinished` gets the plan in words. The arguments are those of `train`."""
        from .actions.training_settings import arguments_of

        return TrainingProcess([*arguments_of(config), "--dryRun"], onProgress, onFinished, onFailed, command)

    def addTrainedModel(
        self,
        checkpoint: str | Path,
        name: str,
        onProgress: Progress = silent,
        onFinished: Finished = lambda _lines: None,
        onFailed: Failed = lambda _error: None,
        replace: bool = False,
        command: Sequence[str] | None = None,
    ) -> TrainingProcess:
        """Make a model of a checkpoint and add it to the model list, under `modelId(name)`.

        Args:
            checkpoint: "best.pt" or "last.pt" of a training.
            name: what a person chooses from the list.
            onProgress: called with a fraction and a text.
            onFinished: called when the model is in the list.
            onFailed: called with what went wrong; the list is as it was.
            replace: whether an own model of that id gives way.
            command: what to start instead of the train command.

        Raises:
            ConfigError: the id cannot be used or is taken.
        """
        from ..weights.own_models import check_id

        identifier = self.modelId(name)
        check_id(identifier, replace)
        words = [f"--export={checkpoint}", "--addToModels", f"--modelId={identifier}", f"--modelTitle={name}"]
        words += ["--replaceModel"] * replace
        return TrainingProcess(words, onProgress, onFinished, onFailed, command)

    def modelId(self, name: str) -> str:
        """The id of an own model of that name.

        Raises:
            ConfigError: no letter or digit is left of it.
        """
        identifier = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
        if not identifier:
            raise ConfigError(f"{name!r} is no name for a model. Give one with letters or digits.")
        return identifier

    def curves(self, folder: str | Path) -> Curves:
        """The curves of the training in a folder as tables and charts of the scene; made where there are none."""
        from .scene.curve_nodes import Curves

        return Curves(folder)
