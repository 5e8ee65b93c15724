"""Terms of a loss, weighted: what images and fields cost under a configuration."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ...core.errors import ConfigError
from ...core.losses.table import make_loss
from ..config import TrainingConfig

#: Compares (fixed, moved), both (B, C, *shape).
ImageTerm = Callable[[Tensor, Tensor], Tensor]
#: Of a field (B, N, *shape).
FieldTerm = Callable[[Tensor], Tensor]


def image_term(config: TrainingConfig) -> ImageTerm:
    """What `config.image_loss` and its options say, without its weight."""
    options = {
        "ncc": {"window": config.ncc_window, "form": config.ncc_form},
        "mse": {"image_sigma": config.image_sigma},
    }
    return make_loss(config.image_loss, **options.get(config.image_loss, {}))


def penalty_term(config: TrainingConfig) -> FieldTerm:
    """What `config.penalty` and its options say, without its weight."""
    if config.penalty == "bending":
        return make_loss("bending")
    multiplier = config.penalty_multiplier or config.int_resolution
    return make_loss("gradient", penalty=config.penalty, multiplier=float(multiplier))


def weighted(terms: dict[str, tuple[float, Callable[[], Tensor]]]) -> dict[str, Tensor]:
    """The terms times their weights; those without weight are never computed.

    Args:
        terms: weight and term by name.

    Raises:
        ConfigError: no term has a weight.
    """
    active = {name: weight * term() for name, (weight, term) in terms.items() if weight}
    if not active:
        raise ConfigError(f"All of {', '.join(terms)} have the weight 0, so nothing can be learned. Raise one.")
    return active
