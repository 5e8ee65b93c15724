"""Monitor: the interface of everything that watches a training; only the first process has any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..validation import Pictures


class Monitor:
    """Is told what happens; each method does nothing unless a monitor overrides it."""

    def begin(self, epoch: int, epochs: int) -> None:
        """A training starts, or goes on, after `epoch` finished ones."""

    def step(self, step: int, steps: int) -> None:
        """A step is done."""

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """An epoch is over.

        Args:
            row: "epoch", "step", "seconds", "lr", "loss", one "loss_..." per term, and, where the epoch was validated,
                the columns of `Validation.row`.
            pictures: of the validation.
        """

    def end(self) -> None:
        """No more will come: the training is finished, stopped or has failed."""
