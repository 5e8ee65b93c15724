"""All monitors of a training."""

from __future__ import annotations

from pathlib import Path

from ..config import TrainingConfig
from .curves import FILE, Curves
from .monitor import Monitor


def make_monitors(config: TrainingConfig) -> list[Monitor]:
    """What watches a training with this configuration."""
    return [Curves(Path(config.output_dir) / FILE)]
