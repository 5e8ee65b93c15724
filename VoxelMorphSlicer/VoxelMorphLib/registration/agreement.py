"""How well two images agree inside what both show, and how that changes from one position to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ..core.losses.ncc import ncc_map
from ..core.metrics import correlation, information
from ..core.tensors import as_tensor
from ..core.windows import Windows

#: Side of the window of the local correlation, in voxels.
WINDOW = 5
#: Sum over a window of the squared deviations that noise has in images of 0..1.
NOISE = WINDOW**3 * 0.02**2
BINS = 32


@dataclass(frozen=True)
class Agreement:
    """How well two images agree inside what both show, whatever the sign of the contrast.

    Args:
        correlation: magnitude of the correlation of the intensities, 0 to 1.
        information: mutual information of the intensities, nats.
        local: root of the mean squared correlation of small windows where the fixed image has contents, 0 to 1.
    """

    correlation: float
    information: float
    local: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray, place: np.ndarray) -> Agreement:
        """Compare two images (I, J, K) of 0 to 1 at the voxels of `place`, bool."""
        one, other = first[place], second[place]
        return cls(abs(correlation(one, other)), _information(one, other), _local_correlation(first, second, place))


#: Falls that are more than chance, measured on pairs that are registered well.
MARGINS = Agreement(correlation=0.02, information=0.03, local=0.02)
#: Shares of themselves by which measures of different contrasts rise where a deformation only follows what one of the
#: two shows. Aligned scans of one person: up to 0.027 and 0.033; deformed by 1.6 mm on average: at least 0.080 and
#: 0.039; prostates in MR and ultrasound: 0.27 and 0.08.
CHANCE = Agreement(correlation=float("inf"), information=0.045, local=0.038)
#: Less is rounding.
LEAST_RISE = 1e-4
NAMES = {"correlation": "correlation", "information": "mutual information", "local": "local correlation"}
#: The measure that falls when the named similarity does; "auto" and others are judged by all three.
DECISIVE = {"ncc": "local", "mi": "information", "mse": "correlation"}


@dataclass(frozen=True)
class Change:
    """Agreement at an earlier and at a later position."""

    before: Agreement
    after: Agreement

    def worse(self, similarity: str = "auto") -> bool:
        """Whether two measures fell, or the one that the registration maximised, and none rose.

        Args:
            similarity: that was used, "ncc", "mi", "mse", or another without a measure of its own.
        """
        falls = self._falls()
        decisive = DECISIVE.get(similarity)
        return (len(falls) > 1 or decisive in falls) and not self._rises()

    def rose(self) -> bool:
        """Whether any measure is larger at the later position."""
        return any(change > LEAST_RISE for _name, change in self._changes())

    def rose_beyond_chance(self) -> bool:
        """Whether mutual information or local correlation tell that a deformation between contrasts is real."""
        return any(change > getattr(CHANCE, name) * getattr(self.before, name) for name, change in self._changes())

    def text(self) -> str:
        """The measures that fell, with their values."""
        return ", ".join(
            f"{NAMES[name]} {getattr(self.before, name):.2f} before and {getattr(self.after, name):.2f} after"
            for name in self._falls()
        )

    def _falls(self) -> list[str]:
        return [name for name, change in self._changes() if change < -getattr(MARGINS, name)]

    def _rises(self) -> list[str]:
        return [name for name, change in self._changes() if change > getattr(MARGINS, name)]

    def _changes(self) -> Iterator[tuple[str, float]]:
        for field in fields(Agreement):
            yield field.name, getattr(self.after, field.name) - getattr(self.before, field.name)


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """As `metrics.mutual_information`, of values of 0..1, in a tenth of its time."""
    levels = [np.minimum((values * BINS).astype(np.intp), BINS - 1) for values in (first, second)]
    return information(np.bincount(levels[0] * BINS + levels[1], minlength=BINS**2).reshape(BINS, BINS))


def _local_correlation(first: np.ndarray, second: np.ndarray, place: np.ndarray) -> float:
    fixed, moved, inside = (as_tensor(array, torch.float32)[None, None] for array in (first, second, place))
    squared = ncc_map(fixed, moved, WINDOW, NOISE, "absolute", inside)
    variation = _variation(fixed * inside, inside)
    weight = variation / (variation + NOISE) * inside
    # In double precision, so that the number of threads among which the sum is divided does not show.
    total = weight.sum(dtype=torch.float64)
    return float((squared.mul_(weight).sum(dtype=torch.float64) / total).sqrt()) if total > 0 else 0.0


def _variation(image: Tensor, inside: Tensor) -> Tensor:
    """Sum over the windows of the squared deviations from their mean."""
    windows = Windows(image.shape[2:], (WINDOW,) * 3)
    return windows.moments(image, windows.sums(inside).clamp_(min=1))[1]
