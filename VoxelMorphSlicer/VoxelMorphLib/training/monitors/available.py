"""The monitors that the installed packages allow: files, TensorBoard, and a progress bar at a terminal."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...core.geometry import Geometry
from ..options import TrainingConfig
from ..validation import Pictures
from . import curves, summary
from .curves import Monitor
from .pictures import Throttle, image_picture, pair_pictures, space_geometry

FOLDER = "tensorboard"
#: Columns of a row that are no curves.
_NO_CURVES = ("epoch", "step")


def make_monitors(config: TrainingConfig, shape: tuple[int, ...], skipped: Mapping[str, str]) -> list[Monitor]:
    """The table of curves, and what the installed packages allow in addition.

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
        monitors.append(TensorBoard(folder / FOLDER, geometry, config.steps_per_epoch))
    if sys.stderr.isatty() and find_spec("tqdm"):
        monitors.append(Terminal(config.steps_per_epoch))
    return monitors


class TensorBoard(Monitor):
    """Writes event files; a resumed training replaces what it computes again.

    Args:
        folder: of the event files.
        geometry: of the training space.
        steps_per_epoch: to know the step at which a training resumes.
    """

    def __init__(self, folder: Path, geometry: Geometry, steps_per_epoch: int):
        self.folder, self.geometry, self.steps_per_epoch = folder, geometry, steps_per_epoch
        self.shows = str(folder)
        self._writer: Any = None
        self._draw = Throttle()

    def begin(self, epoch: int, epochs: int) -> None:
        """Open the event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.folder), purge_step=epoch * self.steps_per_epoch + 1 if epoch else None)

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Add one point to each curve, and the pictures when the last ones are old."""
        if self._writer is None:  # it could not be opened, which was said
            return
        step = row["step"]
        for name, value in row.items():
            if name not in _NO_CURVES and isinstance(value, (int, float)):
                self._writer.add_scalar(name.replace("val_", "validation/", 1), value, step)
        if pictures and self._draw():
            self._add_pictures(pictures, step)
        self._writer.flush()

    def end(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()

    def _add_pictures(self, pictures: Pictures, step: int) -> None:
        for number, pair in enumerate(pictures.pairs, 1):
            for kind, png in zip(("images", "agreement"), pair_pictures(pair, self.geometry)):
                self._add_picture(f"pair {number}/{kind}", png, step)
        for name, array in pictures.images.items():
            self._add_picture(f"learned/{name}", image_picture(name, array, self.geometry), step)

    def _add_picture(self, name: str, png: bytes, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = struct.unpack(">II", png[16:24])  # of the PNG header
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)


class Terminal(Monitor):
    """A tqdm bar over all steps, with the last loss and the last validation behind it.

    Args:
        steps_per_epoch: of the training.
    """

    def __init__(self, steps_per_epoch: int):
        self.steps_per_epoch = steps_per_epoch
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def begin(self, epoch: int, epochs: int) -> None:
        """Show the bar."""
        from tqdm import tqdm

        total, done = epochs * self.steps_per_epoch, epoch * self.steps_per_epoch
        self._bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)

    def step(self, step: int, steps: int) -> None:
        """Move the bar."""
        self._bar.update(step - self._bar.n)

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Show the latest figures behind the bar."""
        for name in ("loss", "val_dice", "val_back_dice", "val_image_loss", "val_folded_percent"):
            if name in row:
                self._shown[name] = f"{row[name]:.4g}"
        self._bar.set_postfix(self._shown)

    def end(self) -> None:
        """Close the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.close()
