"""ProbabilisticTask: a dense network learns a distribution of velocities."""

from __future__ import annotations

from typing import Any

from ...core.losses.table import make_loss
from ..data.facts import DataFacts
from ..recipes.probabilistic import ProbabilisticConfig
from .registration import RegistrationTask


class ProbabilisticTask(RegistrationTask):
    """Pairs are compared after a velocity was drawn, and its distribution is pulled towards a smooth prior."""

    def __init__(self, config: ProbabilisticConfig, facts: DataFacts):
        super().__init__(config, facts)
        self.penalty_term = make_loss("kl", prior_lambda=config.prior_lambda, variant=config.kl_variant)

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "use_probs": True}
