"""TrainingData: the lists of a configuration -> dataset info, batches and validation pairs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import chain
from math import prod

from ...core.errors import ConfigError, ImageError, VoxelMorphError
from ..options import TrainingConfig
from .case import Batch, Case, DatasetInfo
from .lists import (
    Split,
    check_enough,
    described_attributes,
    hold_back,
    read_atlas,
    read_cases,
    read_pairs,
    read_validation,
)
from .loader import BatchSource, CaseSource, load_in_order, make_batch
from .sampling import Draws
from .scan import scan_files
from .space import Prepared
from .store import CaseStore, Derive, Means

#: Images that a mean is taken of.
MEAN_OF = 100


class TrainingData:
    """All data of one training; everything random follows from the seed and the numbers of the samples.

    Args:
        config: names the lists.
        multiple: of the network, for a shape that fits the images.
        samples: "pair" (moving and fixed), or "single" for templates and segmentation.

    Attributes:
        cases: that are trained on.
        pairs: places (moving, fixed) in `cases`, where a list names them.
        validation_pairs: (moving, fixed), none of them trained on.
        skipped: why files were left out or replaced, by the case's name.

    Raises:
        ConfigError: lists that cannot be read, do not fit each other or hold too little.
        ImageError: no image can be read; with `config.strict` the first one that cannot.
    """

    def __init__(self, config: TrainingConfig, multiple: int, samples: str = "pair"):
        if config.atlas and config.pair_list and samples == "pair":
            raise ConfigError("atlas and pair_list both name the fixed images. Give one of them.")
        self.config, self.samples = config, samples
        self.skipped: dict[str, str] = {}
        listed = read_cases(config)
        self.atlas = read_atlas(config, listed)
        split = Split(listed, read_pairs(config, listed), read_validation(config, listed))
        space, self.skipped = scan_files(split, self.atlas, config, multiple)
        self._told = set(self.skipped)
        fixed = self.atlas if samples == "pair" else None
        split = hold_back(split.without(set(self.skipped)), config, fixed)
        self._size = 2 if samples == "pair" and fixed is None else 1
        check_enough(split, config, self._size, len(self.skipped))
        self.cases, self.pairs, self.validation_pairs = split.cases, split.places(), split.validation
        self.store = CaseStore(config, space)

    @property
    def derive(self) -> Derive | None:
        """What the recipe computes for each case, see `Task.derive`; may be set until the first batch."""
        return self.store.derive

    @derive.setter
    def derive(self, derive: Derive | None) -> None:
        self.store.derive = derive
        self.store.extras.clear()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the training space."""
        return tuple(self.store.space.space.shape)

    def bytes_in_memory(self, extras: int = 0) -> int:
        """What all cases take when they are kept in memory, those of the validation too.

        Args:
            extras: bytes of what the recipe derives of each case that is trained on.
        """
        trained = [*self.cases, self.atlas] if self.atlas else self.cases
        every = {case.name: case for case in (*trained, *chain.from_iterable(self.validation_pairs))}
        labelled = bool(self.store.space.labels)
        images = sum(prod(self.shape) * (6 if labelled and case.labels else 4) for case in every.values())
        return images + extras * len(trained)

    def info(self, needs_mean: bool = False) -> DatasetInfo:
        """What a recipe must know of the data before it builds its network.

        Raises:
            VoxelMorphError: the atlas cannot be read.
        """
        atlas = None if self.atlas is None else self.store.images(self.atlas)
        means = self._means() if needs_mean else None
        return DatasetInfo(
            shape=self.shape,
            labels=self.store.space.labels,
            labelled=all(case.labels is not None for case in self.cases),
            attributes=len(self.cases[0].attributes),
            described=described_attributes(self.config.attributes, self.cases) if self.config.attributes else (),
            mean=None if means is None else means.image,
            label_mean=None if means is None else means.labels,
            atlas=None if atlas is None else atlas.image,
            atlas_labels=None if atlas is None else atlas.labels,
        )

    def batches(self, first_step: int, steps: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """`config.accumulate` batches for each step; a file that cannot be read is replaced by another draw.

        Args:
            first_step: of the optimiser, since the training began.
            steps: how many.
            rank, world: this process and how many there are.

        Raises:
            VoxelMorphError: no file can be read, or with `config.strict` one cannot.
        """
        config = self.config
        workers = 0 if config.cache == "memory" else config.workers
        if workers < config.workers:
            self._fill_memory()
        source = BatchSource(
            store=self.store,
            cases=self.cases,
            draws=Draws(config.seed, len(self.cases), self._size, self.pairs if self._size == 2 else ()),
            atlas=self.atlas if self.samples == "pair" else None,
            batch_size=config.batch_size,
            rank=rank,
            world=world,
            strict=config.strict,
            reasons=self.skipped,
        )
        places = range(first_step * config.accumulate, (first_step + steps) * config.accumulate)
        for batch, reasons in load_in_order(source, places, workers):
            for name, reason in reasons.items():
                self._skip(name, reason)
            yield batch

    def validation(self) -> Iterator[Batch]:
        """The validation pairs without extras, one a batch, always in the same order; unreadable ones are left out.

        Raises:
            VoxelMorphError: no pair can be read, or with `config.strict` one cannot.
        """
        count = 0
        for number, pair in enumerate(self.validation_pairs):
            loaded = [self._images(case) for case in pair]
            if None not in loaded:
                count += 1
                yield make_batch((number,), pair, loaded)
        if self.validation_pairs and not count:
            raise ImageError(f"No validation pair can be read: {next(reversed(self.skipped.values()))}")

    def _images(self, case: Case) -> Prepared | None:
        """A case without extras; None, and the reason noted, where it cannot be read."""
        if case.name in self.skipped:
            return None
        try:
            return self.store.images(case)
        except VoxelMorphError as error:
            if self.config.strict:
                raise
            self._skip(case.name, str(error))
            return None

    def _skip(self, name: str, reason: str) -> None:
        self.skipped[name] = reason
        if name not in self._told:
            self._told.add(name)
            warnings.warn(f"{name} is left out. {reason}", stacklevel=2)

    def _fill_memory(self) -> None:
        """Prepare in workers all cases that are not in memory yet."""
        missing = [case for case in self.cases if case.name not in self.skipped and not self.store.holds(case)]
        if not missing:
            return
        items = load_in_order(CaseSource(self.store, missing), range(len(missing)), self.config.workers)
        for case, (prepared, reason) in zip(missing, items):
            if prepared is not None:
                self.store.keep(case, prepared)
            elif self.config.strict:
                raise ImageError(reason)
            else:
                self._skip(case.name, reason)

    def _means(self) -> Means:
        """Of up to `MEAN_OF` cases."""
        means = Means(self.store.space.labels)
        for prepared in map(self._images, self.cases[:MEAN_OF]):
            if prepared is not None:
                means.add(prepared)
        if means.image is None:
            raise ImageError(f"None of the images can be read: {next(reversed(self.skipped.values()))}")
        return means
