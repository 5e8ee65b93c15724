"""Random numbers of a sample, the same on one process and on many."""

from __future__ import annotations

import torch

from ..data.batch import Batch

#: Keeps the draws of a task apart from those of the data for the same sample; any other number would do.
_OWN = 0x9E3779B9


def item_generators(seed: int, batch: Batch) -> list[torch.Generator]:
    """One generator on the CPU for every sample of a batch, seeded by the training's seed and the sample's number."""
    return [torch.Generator().manual_seed((seed * _OWN + number * 0x85EBCA6B + 1) % 2**63) for number in batch.numbers]
