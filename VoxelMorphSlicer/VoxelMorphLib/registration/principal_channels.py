"""Two images of many channels are compared by the few mixtures of them in which the images vary most."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.rows import rows_of

#: Voxels of an image that tell how its channels vary, about.
LOOKED_AT = 100_000


def principal_channels(first: Tensor, second: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The same mixtures of the channels of both images, at right angles to each other and of length 1.

    All mixtures together have the squared differences of the channels themselves. The first ones have most of them,
    at the cost of so many channels, and what is left out is mostly noise.

    Args:
        first, second: (1, C, *shape).
        channels: number of mixtures.

    Returns:
        Both images, (1, channels, *shape), or as they are where they have no more channels.

    Source: Pearson, Philosophical Magazine 2(11):559-572 (1901), doi:10.1080/14786440109462720.
    """
    if first.shape[1] <= channels:
        return first, second
    rows = rows_of(first), rows_of(second)
    step = max(1, len(rows[0]) // LOOKED_AT)
    values = torch.cat([each[::step] for each in rows])
    values = values.cpu().double()  # Apple GPUs have neither float64 nor eigenvectors
    values -= values.mean(0)
    mixtures = torch.linalg.eigh(values.T @ values).eigenvectors[:, -channels:].T.to(first)
    mixed = [(mixtures @ each.T).view(1, channels, *first.shape[2:]) for each in rows]
    return mixed[0], mixed[1]
