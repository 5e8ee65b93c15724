"""TrainingResult: what a finished training left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingResult:
    """Plain values.

    Args:
        folder: of curves, summary and checkpoints.
        last: checkpoint of the last step.
        best: checkpoint of the best validation; `last` where none was ever better than nothing.
        step, epoch: how many were done in all.
        best_value: mean Dice, or the negative image loss of the validation pairs, or the negative training loss of an
            epoch where there are no such pairs.
        best_variant: of the task, e.g. the value of a hyperparameter.
        best_step: after which the best checkpoint was written.
        losses: means of the last epoch, by name.
        out_of_patience: ended because `patience` validations brought nothing better.
        seconds: of this run, without those before it was resumed.
        rank: of this process among those that trained together; the first, 0, wrote the files.
    """

    folder: Path
    last: Path
    best: Path
    step: int
    epoch: int
    best_value: float
    best_variant: str
    best_step: int
    losses: dict[str, float]
    out_of_patience: bool
    seconds: float
    rank: int
