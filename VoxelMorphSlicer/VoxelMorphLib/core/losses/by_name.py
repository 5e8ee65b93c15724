"""All losses by name; the name and the options are what configurations and checkpoints store."""

from __future__ import annotations

from typing import Any

from ..config import Settings
from ..options import check_choice
from .anatomy import Dice, Surface
from .intensity_difference import MSE, Tukey
from .mind import MIND
from .mutual_information import MutualInformation
from .ncc import NCC
from .regularisers import KL, Bending, Gradient

#: Called with (fixed, moved, mask=None): images (B, C, *shape).
SIMILARITIES: dict[str, type[Settings]] = {
    "ncc": NCC,
    "mse": MSE,
    "mi": MutualInformation,
    "mind": MIND,
    "tukey": Tukey,
}
#: Called with a field (B, N, *shape) in voxels; "kl" with the parameters (B, 2 N, *shape) of a distribution of fields.
REGULARISERS: dict[str, type[Settings]] = {"gradient": Gradient, "bending": Bending, "kl": KL}
#: "dice" is called with (fixed, moved, mask=None), label memberships (B, L, *shape); "surface" with (distance, points).
ANATOMY: dict[str, type[Settings]] = {"dice": Dice, "surface": Surface}
LOSSES = {**SIMILARITIES, **REGULARISERS, **ANATOMY}


def make_loss(name: str, **options: Any) -> Settings:
    """The loss of that name with its options bound: call it, compare it, store it.

    Raises:
        ConfigError: unknown name or option, or an impossible value.
    """
    check_choice("loss", name, tuple(LOSSES))
    return LOSSES[name].from_dict(options)
