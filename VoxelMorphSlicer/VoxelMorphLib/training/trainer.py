"""Trainer: steps, epochs, validation and checkpoints of any task, until the last epoch or a reason to stop."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..core.errors import (
    Cancelled,
    ConfigError,
    DeviceError,
    TrainingError,
    TrainingStopped,
    VoxelMorphError,
    WeightsError,
)
from ..core.io.files import make_folder
from ..core.io.locks import locked
from ..core.io.paths import exists, is_file
from ..core.progress import Progress, silent
from .build import build_training
from .checkpoint import (
    BEST,
    FOLDER,
    FORMAT,
    LAST,
    check_same_training,
    fill,
    load_checkpoint,
    plain_info,
    save_checkpoint,
)
from .data.augment import augment
from .data.case import Batch
from .launch import launched, on_rank_zero
from .memory_estimate import check_fits
from .monitors.available import make_monitors
from .monitors.curves import Monitor
from .optimisation import CHECK_EVERY, Optimisation
from .options import TrainingConfig
from .stopping import Best, StopRequest
from .task import Task
from .validation import Pictures, Validator

#: File by which a running training keeps others out of its folder, and how long one waits for it.
LOCK = ".running"
_TURN_S = 2.0
#: Where a folder of a training cannot be made.
_REMEDY = "Choose another output_dir."


class Trainer:
    """Trains a task on data, from the beginning or from its last checkpoint.

    Args:
        task: with its network on the CPU.
        data: has `batches(first_step, steps, rank, world)`, `accumulate` batches on the CPU per step, and
            `validation()`, pairs on the CPU; see `TrainingData`.
        config: of the task.
        fabric: see `launched`.
        monitors: are told what happens, in the first process.
        progress: called after every step in the first process; raising `Cancelled` stops like Ctrl-C.
    """

    def __init__(
        self,
        task: Task,
        data: Any,
        config: TrainingConfig,
        fabric: Any,
        monitors: Sequence[Monitor] = (),
        progress: Progress = silent,
    ):
        self.task, self.data, self.config, self.fabric = task, data, config, fabric
        self.monitors = tuple(monitors) if fabric.is_global_zero else ()
        self.progress = progress if fabric.is_global_zero else silent
        self.folder = Path(config.output_dir)
        self.last, self.best_file = (self.folder / FOLDER / name for name in (LAST, BEST))
        self.optimisation = Optimisation(task, config, fabric)
        self.validator = Validator(task, data, fabric)
        self.best = Best(config.patience)
        self.step = 0
        self._stop = StopRequest()
        self._complained: list[Monitor] = []
        self._losses: dict[str, float] = {}
        self._rate = self.optimisation.rate
        self._epoch_started = time.perf_counter()

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return (self.step - self.optimisation.losses.count) // self.config.steps_per_epoch

    def resume(self) -> None:
        """Continue from the last checkpoint.

        Raises:
            ConfigError: the configuration or the data have changed.
            WeightsError: the checkpoint is missing, damaged or of another training.
        """
        checkpoint = load_checkpoint(self.last)
        check_same_training(self.last, checkpoint, self.config, self.task.info)
        fill(self.task.network, checkpoint["network"], self.last)
        try:
            self._restore(checkpoint)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            if isinstance(error, VoxelMorphError):
                raise
            raise WeightsError(
                f"{self.last} is damaged: its state of the optimisation cannot be restored ({error}). Train anew in "
                "another folder."
            ) from error

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        self.optimisation.load(checkpoint)
        self.optimisation.losses.load(checkpoint["epoch"], self.fabric.device)
        self.best.load(checkpoint["best"])
        self.step = checkpoint["step"]
        self._rate = checkpoint.get("rate", self.optimisation.rate)  # missing in older checkpoints

    def run(self) -> TrainingResult:
        """Train to the last epoch, or until the patience runs out.

        Raises:
            DeviceError: the device has too little memory.
            OutputError: a checkpoint cannot be written; older ones are intact.
            TrainingError: a loss or a gradient became NaN or infinite; older checkpoints are intact.
            TrainingStopped: by Ctrl-C, SIGTERM or `progress`; the last checkpoint holds everything.
        """
        make_folder(self.last.parent, _REMEDY)
        self._tell("begin", self.epoch, self.config.epochs)
        try:
            with self._stop, without_denormals():
                self._train()
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.fabric.device} has too little memory for batches of {self.config.batch_size} with the shape "
                f"{self.task.info.shape}. Choose a smaller batch_size or shape, or precision bfloat16."
            ) from error
        finally:
            self._watched("end")
        return self._result()

    def _train(self) -> None:
        self.task.network.train()
        batches = self._batches()
        while True:
            if self.optimisation.losses.count == self.config.steps_per_epoch:
                self._end_epoch()
            if self.step >= self.config.steps or self.best.exhausted:
                break
            step_batches = self._next(batches)
            if step_batches is not None:
                self._rate = self.optimisation.rate
                self.optimisation.step(self.step, step_batches)
                self.step += 1
                self._report()
            if self._should_stop(interrupted=step_batches is None):
                self._save(self.last)
                raise TrainingStopped(
                    f"Stopped after step {self.step} of {self.config.steps}. {self.last} holds everything; resume the "
                    "training to go on."
                )

    def _batches(self) -> Iterator[Batch]:
        steps = self.config.steps - self.step
        return iter(self.data.batches(self.step, steps, self.fabric.global_rank, self.fabric.world_size))

    def _next(self, batches: Iterator[Batch]) -> list[Batch] | None:
        """The batches of one step, or None where loading them was interrupted by a stop."""
        try:
            found = list(islice(batches, self.config.accumulate))
        except Exception:
            if self._stop.asked and self.fabric.world_size == 1:  # Ctrl-C also ends the processes that load data
                return None
            raise
        return [augment(batch.to(self.fabric.device), self.config) for batch in found]

    def _report(self) -> None:
        self._watched("step", self.step, self.config.steps)
        try:
            self.progress(self.step / self.config.steps, f"Training, step {self.step} of {self.config.steps}")
        except Cancelled:
            self._stop.ask()

    def _should_stop(self, interrupted: bool = False) -> bool:
        """Whether to stop; all processes decide alike, so several of them, or a GPU, check only now and then."""
        waits = self.optimisation.deferred or self.fabric.world_size > 1
        alone = self.fabric.world_size == 1 and self._stop.asked
        if waits and self.step % CHECK_EVERY and not alone and not interrupted:
            return False
        return self._check_steps()

    def _check_steps(self) -> bool:
        """Whether any process was asked to stop.

        Raises:
            TrainingError: a loss or a gradient was not finite.
        """
        asked, step, names = self.optimisation.check_finite(self._stop.asked)
        if step is None:
            return asked
        kept = f"{self.last} holds the training before it" if is_file(self.last) else "No checkpoint was written yet"
        raise TrainingError(
            f"The loss became NaN or infinite in step {step + 1}, with {', '.join(dict.fromkeys(names))}. {kept}. "
            "Look at these files; if they are right, train anew with a smaller lr or with clip."
        )

    def _end_epoch(self) -> None:
        if self._check_steps():
            self._stop.ask()
        self.optimisation.losses.reduce(self.fabric)
        self._losses = self.optimisation.losses.means()
        self.optimisation.losses.clear()
        row = {"epoch": self.epoch, "step": self.step, "seconds": round(time.perf_counter() - self._epoch_started, 3)}
        row.update(lr=self._rate, **{f"loss_{name}" if name != "loss" else name: v for name, v in self._losses.items()})
        last_epoch, pictures = self.epoch == self.config.epochs, Pictures()
        if last_epoch or self.epoch % self.config.validate_every == 0:
            pictures = self._validate(row)
        if last_epoch or self.best.exhausted or self.epoch % self.config.save_every == 0:
            self._save(self.last)
        self._tell("epoch", row, pictures)
        self._epoch_started = time.perf_counter()

    def _validate(self, row: dict[str, Any]) -> Pictures:
        """Add the measures to the row, save the network when it is the best so far, and return what to draw.

        Without validation pairs the noisy loss of one epoch decides about the patience alone, and no network is best.
        """
        validation, pictures = self.validator(self.optimisation.network, self.config.pictures)
        if validation is None:
            self.best.offer(-self._losses["loss"], "", self.step)
            on_rank_zero(self.fabric, lambda: self.best_file.unlink(missing_ok=True))  # of an earlier version
            return pictures
        row.update(validation.row())
        if self.best.offer(validation.measures.value, validation.best, self.step):
            self._save(self.best_file)
        return pictures

    def _save(self, path: Path) -> None:
        self.optimisation.losses.reduce(self.fabric)
        on_rank_zero(self.fabric, lambda: save_checkpoint(path, self._checkpoint()))

    def _tell(self, event: str, *values: Any) -> None:
        """Call a method of the monitors; only the first process has any, and the others wait for it."""
        on_rank_zero(self.fabric, lambda: self._watched(event, *values))

    def _watched(self, event: str, *values: Any) -> None:
        """Call a method of the monitors; whatever becomes of a page or a curve, the training goes on."""
        for monitor in self.monitors:
            try:
                getattr(monitor, event)(*values)
            except Exception as error:
                if monitor not in self._complained:
                    self._complained.append(monitor)
                    text = " ".join(str(error).split()) or type(error).__name__
                    warnings.warn(f"The training goes on, but {monitor.shows} may be incomplete: {text}", stacklevel=1)

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "recipe": self.config.recipe,
            "config": self.config.to_dict(),
            "step": self.step,
            "rate": self._rate,
            **self.optimisation.state(),
            "best": self.best.state(),
            "facts": plain_info(self.task.info),
            "epoch": self.optimisation.losses.state(),
        }

    def _result(self) -> TrainingResult:
        validated = is_file(self.best_file)
        return TrainingResult(
            last=self.last,
            best=self.best_file if validated else self.last,
            step=self.step,
            epoch=self.epoch,
            best_value=self.best.value if validated else -self._losses.get("loss", math.inf),
            best_variant=self.best.variant,
            best_step=self.best.step if validated else self.step,
            losses=self._losses,
            out_of_patience=self.best.exhausted and self.step < self.config.steps,
            rank=self.fabric.global_rank,
        )


@contextmanager
def without_denormals() -> Iterator[None]:
    """Take numbers below the smallest normal one for 0: the first gradients of a new network consist of them, and
    processors compute with them a hundred times as slowly."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train(config: TrainingConfig, resume: bool = False, progress: Progress = silent) -> TrainingResult:
    """Train what a configuration asks for.

    Args:
        config: of a recipe.
        resume: continue from the last checkpoint in `config.output_dir`; without one, begin.
        progress: called after every step; raising `Cancelled` stops after saving.

    Raises:
        ConfigError: the configuration does not fit the data, or `output_dir` holds a training that would be lost or
            is running.
        DependencyError: a package is missing.
        VoxelMorphError: anything else that `build_training`, `start_fabric` and `Trainer.run` say.
    """
    _check_unused(config, resume)
    with launched(config) as fabric, ExitStack() as stack:
        on_rank_zero(fabric, lambda: _occupy(config, resume, stack))
        return _trainer(config, fabric, progress).run()


def _check_unused(config: TrainingConfig, resume: bool) -> None:
    last = Path(config.output_dir) / FOLDER / LAST
    if is_file(last) and not resume:
        raise ConfigError(
            f"{config.output_dir} already holds a training ({last}). Resume it, or choose another output_dir."
        )


def _occupy(config: TrainingConfig, resume: bool, stack: ExitStack) -> None:
    """Keep the folder for this training until `stack` is left."""
    folder = Path(config.output_dir) / FOLDER
    for new in [path for path in (folder.parent, folder) if not exists(path)]:
        stack.callback(_remove_empty, new)
    make_folder(folder, _REMEDY)
    if not stack.enter_context(locked(folder / LOCK, _TURN_S)):
        raise ConfigError(f"Another training is running in {config.output_dir}. Wait for it, or choose another folder.")
    _check_unused(config, resume)  # again: one may have ended meanwhile


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a finished training, in plain values.

    Args:
        last: checkpoint of the last step.
        best: checkpoint of the best validation; `last` where there are no validation pairs, or none gave a number.
        step, epoch: how many were done in all.
        best_value: mean Dice of both directions, or the negative image loss of the validation pairs, or the negative
            training loss of the last epoch where `best` is `last`.
        best_variant: of the task, e.g. the value of a hyperparameter.
        best_step: after which the network of `best` was written.
        losses: means of the last epoch, by name.
        out_of_patience: ended because `patience` validations brought nothing better.
        rank: of this process among those that trained together; the first, 0, wrote the files.
    """

    last: Path
    best: Path
    step: int
    epoch: int
    best_value: float
    best_variant: str
    best_step: int
    losses: dict[str, float]
    out_of_patience: bool
    rank: int

    def sentence(self) -> str:
        """How long it took, and whose weights the model gets."""
        if self.best == self.last:
            return f"{self.step} steps done; no validation decides, so the model is that of the last step: {self.best}"
        return f"{self.step} steps done; best after step {self.best_step}: {self.best}"


def _trainer(config: TrainingConfig, fabric: Any, progress: Progress) -> Trainer:
    """A trainer with everything that the configuration names, at the last checkpoint where there is one."""
    last = Path(config.output_dir) / FOLDER / LAST
    kept = load_checkpoint(last)["facts"] if is_file(last) else {}
    task, data = build_training(config, kept.get("intensities"))
    check_fits(config, task.info, str(fabric.device))
    monitors = make_monitors(config, task.info.shape, data.skipped) if fabric.is_global_zero else ()
    trainer = Trainer(task, data, config, fabric, monitors, progress)
    if kept:
        trainer.resume()
    return trainer
