"""BidirectionalConfig: pairs are compared in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..config import TrainingConfig


@dataclass(frozen=True)
class BidirectionalConfig(TrainingConfig):
    """Unsupervised registration that compares both moved images with their targets, half the weight each.

    Source: Dalca et al., Medical Image Analysis 2019, doi:10.1016/j.media.2019.07.006.
    """

    recipe: ClassVar[str] = "bidirectional"

    bidir: bool = True
