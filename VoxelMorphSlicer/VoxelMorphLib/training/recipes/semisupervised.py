"""SemiSupervisedConfig: label maps help to train a registration that needs none later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_range, check_whole
from ..config import TrainingConfig


@dataclass(frozen=True)
class SemiSupervisedConfig(TrainingConfig):
    """Registration trained with images and the overlap of their label maps; with `bidir` in both directions.

    Args:
        dice_weight: weight of the overlap.
        label_resolution: voxel size of the labels that are compared, in image voxels.
        labels_per_step: so many labels, drawn for each step, are compared; 0 takes all.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section III.C.
    """

    recipe: ClassVar[str] = "semisupervised"

    dice_weight: float = 0.01
    label_resolution: int = 2
    labels_per_step: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("dice_weight", self.dice_weight, 0, 1e6)
        for name, (low, high) in {"label_resolution": (1, 16), "labels_per_step": (0, 4096)}.items():
            check_whole(name, getattr(self, name))
            check_range(name, getattr(self, name), low, high)
