"""A progress bar for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..validation import Pictures
from .monitor import Monitor


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
        """Move it."""
        self._bar.update(step - self._bar.n)

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Write the latest figures behind it."""
        for name in ("loss", "val_dice", "val_image_loss", "val_folded_percent"):
            if name in row:
                self._shown[name] = f"{row[name]:.4g}"
        self._bar.set_postfix(self._shown)

    def end(self) -> None:
        """Leave it as it is."""
        if self._bar is not None:
            self._bar.close()
