"""The learning rate over the steps of a training."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

#: Of "onecycle": share of the steps that warm up, and by how much less the first and the last step learn than `lr`;
#: the two divisors are the defaults of torch's OneCycleLR.
WARM_UP, FIRST, LAST = 0.05, 25.0, 25.0e4


def rate_factor(schedule: str, step: int, steps: int) -> float:
    """What `lr` is multiplied with.

    Args:
        schedule: "constant"; "cosine", from 1 to 0; "onecycle", half a cosine up to 1 and half a cosine down.
        step: from 0.
        steps: of the whole training.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983; Smith and Topin, 2018, arXiv:1708.07120.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _half_cosine(1.0, 0.0, step / max(steps, 1))
    top = max(WARM_UP * steps - 1, 0)
    if step < top:
        return _half_cosine(1 / FIRST, 1.0, step / top)
    return _half_cosine(1.0, 1 / LAST, (step - top) / max(steps - 1 - top, 1))


def make_schedule(optimiser: Optimizer, schedule: str, steps: int) -> LambdaLR:
    """The torch scheduler of `rate_factor`; it depends on the step alone, so that a resumed training may be longer."""
    return LambdaLR(optimiser, lambda step: rate_factor(schedule, step, steps))


def _half_cosine(start: float, stop: float, share: float) -> float:
    return stop + (start - stop) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
