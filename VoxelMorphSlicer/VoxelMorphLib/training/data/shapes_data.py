"""ShapesData: batches without files, for tasks that make everything from the numbers of the samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..options import TrainingConfig
from .case import Batch, Case, DatasetInfo
from .lists import Split, read_validation
from .sampling import sample_numbers
from .scan import scan_files
from .space import TrainingSpace
from .store import CaseStore
from .training_data import TrainingData


class ShapesData(TrainingData):
    """The shape of a configuration, and the pairs of its validation list, if it has one.

    Args:
        config: names the shape.
        multiple: of the network.
        samples: "pair".

    Raises:
        ConfigError: a validation list that cannot be read.
        ImageError: no image of it can be read.
    """

    def __init__(self, config: TrainingConfig, multiple: int, samples: str = "pair"):
        self.config, self.samples = config, samples
        self.skipped: dict[str, str] = {}
        self.cases: tuple[Case, ...] = ()
        self.pairs: tuple[tuple[int, int], ...] = ()
        self.atlas = None
        split = Split((), (), read_validation(config, ()))
        space = TrainingSpace(config.space(tuple(config.shape), multiple))
        if split.validation:
            space, self.skipped = scan_files(split, None, config, multiple)
            split = split.without(set(self.skipped))
        self._told = set(self.skipped)
        self.validation_pairs = split.validation
        self.store = CaseStore(config, space)

    def info(self, needs_mean: bool = False) -> DatasetInfo:
        """The shape, and the labels of the validation pairs."""
        return DatasetInfo(shape=self.shape, labels=self.store.space.labels, labelled=False)

    def batches(self, first_step: int, steps: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Empty images with the numbers of their samples."""
        config = self.config
        empty = torch.zeros(1).expand(config.batch_size, 1, *self.shape)
        for micro in range(first_step * config.accumulate, (first_step + steps) * config.accumulate):
            numbers = sample_numbers(micro, config.batch_size, rank, world)
            yield Batch(numbers, tuple(f"shapes {number}" for number in numbers), fixed=empty, moving=empty)
