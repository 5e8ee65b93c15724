"""PairwiseConfig: any two images of a list are registered with each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..config import TrainingConfig


@dataclass(frozen=True)
class PairwiseConfig(TrainingConfig):
    """Unsupervised registration of random pairs, with the options of the original's train.py.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538.
    """

    recipe: ClassVar[str] = "pairwise"
