"""AtlasConfig: every image of a list is registered with one atlas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..config import TrainingConfig


@dataclass(frozen=True)
class AtlasConfig(TrainingConfig):
    """Unsupervised registration of images (moving) with `atlas` (fixed), which must be given.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538.
    """

    recipe: ClassVar[str] = "atlas"
