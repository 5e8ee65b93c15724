"""HyperMorphConfig: one network for every weight of smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_range, check_whole
from ..config import TrainingConfig


@dataclass(frozen=True)
class HyperMorphConfig(TrainingConfig):
    """Unsupervised registration for all lambda from 0 to 1: (1 - lambda) of the image loss plus lambda of the penalty.

    Lambda is drawn for every pair, and `image_weight` and `smoothness` scale the two terms. Validation tries a sweep of
    lambdas; the best one becomes the default of what is exported.

    Args:
        oversample_rate: share of pairs that get a lambda of exactly 0 or 1.
        sweep: how many lambdas from 0 to 1 are validated.
        hyper_layers, hyper_units: hidden layers of the network that writes the weights, and their features.

    Source: Hoopes et al., IPMI 2021, doi:10.1007/978-3-030-78191-0_1.
    """

    recipe: ClassVar[str] = "hypermorph"

    svf_resolution: float = 2.0
    image_sigma: float = 0.05
    smoothness: float = 1.0
    epochs: int = 6000
    save_every: int = 100
    oversample_rate: float = 0.2
    sweep: int = 11
    hyper_layers: int = 6
    hyper_units: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("oversample_rate", self.oversample_rate, 0, 1)
        for name, (low, high) in {"sweep": (2, 101), "hyper_layers": (1, 100), "hyper_units": (1, 4096)}.items():
            check_whole(name, getattr(self, name))
            check_range(name, getattr(self, name), low, high)
