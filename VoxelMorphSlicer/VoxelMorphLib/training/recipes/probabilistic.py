"""ProbabilisticConfig: the network predicts a distribution of velocities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.options import check_choice, check_range
from ..config import TrainingConfig

KL_VARIANTS = ("current", "miccai2018")


@dataclass(frozen=True)
class ProbabilisticConfig(TrainingConfig):
    """Unsupervised registration with a variational loss: squared differences and a divergence from a smooth prior.

    `smoothness` is the weight of the divergence; `penalty` and its multiplier have no meaning here. The defaults of
    `image_sigma` and `smoothness` are those that the original's authors advise for this loss.

    Args:
        prior_lambda: precision of the prior.
        kl_variant: "current", or "miccai2018" whose variance term is weaker, as in the first code.

    Source: Dalca et al., MICCAI 2018, arXiv:1805.04605.
    """

    recipe: ClassVar[str] = "probabilistic"

    image_sigma: float = 0.02
    smoothness: float = 1.0
    prior_lambda: float = 10.0
    kl_variant: str = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("prior_lambda", self.prior_lambda, 0, 1e6)
        check_choice("kl_variant", self.kl_variant, KL_VARIANTS)
