"""Random numbers of the samples of a batch, the same on one process and on many."""

from __future__ import annotations

import torch

from ..data.batch import Batch
from ..data.sampling import AUGMENT, torch_seed

#: Streams of random numbers beside those of the data.
HYPERPARAMETER, LABELS, POINTS = range(AUGMENT + 1, AUGMENT + 4)


def item_generators(seed: int, batch: Batch, stream: int) -> list[torch.Generator]:
    """One generator on the CPU for every sample of a batch; it follows from seed, sample number and stream alone."""
    return [torch.Generator().manual_seed(torch_seed(seed, number, stream)) for number in batch.numbers]
