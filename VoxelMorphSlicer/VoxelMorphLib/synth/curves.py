"""A random curve over the intensities of an image, as another kind of acquisition would show the same tissues."""

from __future__ import annotations

import torch
from torch import Tensor

from .random_parts import Part

#: Least and largest number of bends of a curve.
FEWEST_BENDS, MOST_BENDS = 2, 5
#: Share of the curves that leave the darkest intensity as it is.
DARK_STAYS = 0.5


def through_a_curve(image: Tensor, part: Part) -> Tensor:
    """Intensities changed by a random curve, which may rise and fall.

    Labels that are painted with random intensities have any contrast, but noise is then as strong in each of them and
    what lies between two of them has an intensity between theirs. After a curve it need not: between the fluid and the
    skull of an image like T2 there is a bright rim, and noise is strong where the curve is steep.

    Args:
        image: any shape, 0 to 1.
        part: the random numbers.

    Returns:
        The same shape, 0 to 1: straight pieces between random intensities at `FEWEST_BENDS` to `MOST_BENDS` random
        places.
    """
    bends = FEWEST_BENDS + part.choice(MOST_BENDS - FEWEST_BENDS + 1)
    places = torch.cat([torch.zeros(1), part.uniform(0, 1, bends).sort().values, torch.ones(1)])
    values = part.uniform(0, 1, bends + 2)
    if part.chance(DARK_STAYS):
        values[0] = 0
    places, values = places.to(image.device), values.to(image.device)
    slopes = values.diff() / places.diff().clamp(min=1e-6)
    piece = torch.bucketize(image, places[1:-1])
    return torch.addcmul(values[piece], slopes[piece], image - places[piece]).clamp(0, 1)
