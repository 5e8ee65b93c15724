"""Two images of many channels are compared by the few mixtures of them in which the images vary most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: Voxels of an image that tell how its channels vary, about.
LOOKED_AT = 100_000


def principal_channels(first: Sequence[Tensor], second: Sequence[Tensor], channels: int) -> tuple[Tensor, Tensor]:
    """The same mixtures of the channels of both images, at right angles to each other and of length 1.

    All mixtures together have the squared differences of the channels themselves. The first ones have most of them,
    at the cost of so many channels, and what is left out is mostly noise.

    Args:
        first, second: the channels of an image, in parts (1, C, *shape) of the same numbers for both.
        channels: number of mixtures.

    Returns:
        Both images, (1, channels, *shape), or all of their channels where there are no more.

    Source: Pearson, Philosophical Magazine 2(11):559-572 (1901), doi:10.1080/14786440109462720.
    """
    if sum(part.shape[1] for part in first) <= channels:
        return torch.cat(list(first), 1), torch.cat(list(second), 1)
    step = max(1, first[0][0, 0].numel() // LOOKED_AT)
    values = torch.cat([torch.cat([part[0].flatten(1)[:, ::step] for part in image]) for image in (first, second)], 1)
    values = values.cpu().double()  # Apple GPUs have neither float64 nor eigenvectors
    values -= values.mean(1, keepdim=True)
    mixtures = torch.linalg.eigh(values @ values.T).eigenvectors[:, -channels:].T.to(first[0])
    return _mixed(first, mixtures), _mixed(second, mixtures)


def _mixed(parts: Sequence[Tensor], mixtures: Tensor) -> Tensor:
    """(1, mixtures, *shape) of an image in parts; they are not joined, which takes longer than to mix them."""
    shares = mixtures.split([part.shape[1] for part in parts], dim=1)
    mixed = shares[0] @ parts[0][0].flatten(1)
    for share, part in zip(shares[1:], parts[1:]):
        mixed.addmm_(share, part[0].flatten(1))
    return mixed.view(1, -1, *parts[0].shape[2:])
