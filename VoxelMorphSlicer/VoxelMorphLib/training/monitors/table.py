"""All monitors of a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..config import TrainingConfig
from . import curves, summary, tensorboard
from .monitor import Monitor
from .pictures import space_geometry
from .terminal import Terminal


def make_monitors(config: TrainingConfig, shape: tuple[int, ...], skipped: Mapping[str, str]) -> list[Monitor]:
    """The table of curves, and what the installed packages allow beside it.

    Args:
        config: of the training.
        shape: of the training space.
        skipped: files that could not be read, and why.
    """
    folder, geometry = Path(config.output_dir), space_geometry(config, shape)
    table = folder / curves.FILE
    monitors: list[Monitor] = [curves.Curves(table)]
    if find_spec("matplotlib"):
        monitors.append(summary.Summary(folder / summary.FILE, table, config, geometry, skipped))
    if find_spec("tensorboard") and find_spec("matplotlib"):
        monitors.append(tensorboard.TensorBoard(folder / tensorboard.FOLDER, geometry, config.steps_per_epoch))
    if sys.stderr.isatty() and find_spec("tqdm"):
        monitors.append(Terminal(config.steps_per_epoch))
    return monitors
