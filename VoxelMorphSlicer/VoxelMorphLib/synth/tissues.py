"""Mean intensities of labels of which some look nearly alike, as the structures of one tissue do."""

from __future__ import annotations

from collections.abc import Sequence

import torch

#: A label lies up to so far on the way from its own tissue to another one.
MIXED = 0.4
#: Standard deviation of what it differs from that, of intensities from 0 to 1.
APART = 0.02


def tissue_means(labels: Sequence[int], tissues: Sequence[Sequence[int]], random: torch.Generator) -> tuple[float, ...]:
    """A mean intensity, 0 to 1, of every label.

    Args:
        labels: whose means are returned, in their order.
        tissues: labels that belong to each tissue; others have any intensity.
        random: on the CPU.
    """
    means = torch.rand(len(labels), generator=random)
    own = torch.rand(max(len(tissues), 1), generator=random)
    tissue_of = {label: number for number, group in enumerate(tissues) for label in group}
    for place, label in enumerate(labels):
        if label not in tissue_of:
            continue
        number = tissue_of[label]
        other = own[int(torch.randint(len(own), (), generator=random))]
        share, apart = MIXED * torch.rand((), generator=random), APART * torch.randn((), generator=random)
        means[place] = own[number] + share * (other - own[number]) + apart
    return tuple(means.clamp(0, 1).tolist())
