"""Curves and pictures for TensorBoard, in the folder "tensorboard" of a training."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.geometry import Geometry
from ..validation import Pictures
from .monitor import Monitor
from .pictures import Rarely, image_picture, pair_pictures

FOLDER = "tensorboard"
#: Columns of a row that are no curves.
_NO_CURVES = ("epoch", "step")


class TensorBoard(Monitor):
    """Writes event files; a resumed training replaces what it computes again.

    Args:
        folder: of the event files.
        geometry: of the training space.
        steps_per_epoch: to know the step at which a training goes on.
    """

    def __init__(self, folder: Path, geometry: Geometry, steps_per_epoch: int):
        self.folder, self.geometry, self.steps_per_epoch = folder, geometry, steps_per_epoch
        self._writer: Any = None
        self._draw = Rarely()

    def begin(self, epoch: int, epochs: int) -> None:
        """Open the event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.folder), purge_step=epoch * self.steps_per_epoch + 1 if epoch else None)

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Add one point to each curve, and the pictures when the last ones are old."""
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
