"""InstanceConfig: the velocity of one pair is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_range
from ..config import TrainingConfig


@dataclass(frozen=True)
class InstanceConfig(TrainingConfig):
    """Registration of one pair by fitting its velocity; there is no network, and the result serves this pair alone.

    The pair is the one line of `pair_list`. `init_weights` may be the weights file of any registration network: its
    velocity of the pair is then refined.

    Args:
        multiplier: the fitted numbers times this are the velocity.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section V.
    """

    recipe: ClassVar[str] = "instance"

    epochs: int = 10
    steps_per_epoch: int = 20
    lr: float = 1e-3
    multiplier: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("multiplier", self.multiplier, 1e-6, 4096)
