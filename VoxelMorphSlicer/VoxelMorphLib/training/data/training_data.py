"""TrainingData: the lists of a configuration as facts, batches and validation pairs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ...core.errors import ConfigError, ImageError, VoxelMorphError
from ..config import TrainingConfig
from .batch import Batch
from .case import Case
from .facts import DataFacts
from .labels import choose_labels, parse_merges
from .lists import read_atlas, read_cases, read_pairs, read_validation, without_held_back
from .loader import BatchSource, CaseSource, in_order, make_batch
from .sampling import Draws, held_back
from .space import TrainingSpace, common_shape
from .store import CaseStore, Derive
from .survey import survey

#: Images that a mean is taken of.
MEAN_OF = 100


class TrainingData:
    """All data of one training.

    Args:
        config: names the lists; everything random follows from its seed.
        multiple: of the network, for a shape that fits the images.
        samples: "pair" (moving and fixed), or "single" for templates and segmentation.
        derive: what the recipe computes of each case, see `Task.derive`.

    Attributes:
        cases: that are trained on.
        pairs: places (moving, fixed) in `cases`, where a list names them.
        validation_pairs: (moving, fixed), none of them trained on.
        skipped: why files were left out or replaced, by the case's name.

    Raises:
        ConfigError: lists that cannot be read, do not fit each other or hold too little.
        ImageError: no image can be read; with `config.strict` the first one that cannot.
    """

    def __init__(self, config: TrainingConfig, multiple: int, samples: str = "pair", derive: Derive | None = None):
        self.config, self.samples = config, samples
        self.skipped: dict[str, str] = {}
        listed = read_cases(config)
        self.atlas = read_atlas(config, listed)
        pairs = [(listed[a], listed[b]) for a, b in read_pairs(config, listed)]
        validation = read_validation(config, listed)
        space = self._survey([*listed, *(case for pair in validation for case in pair)], multiple)
        listed, pairs, validation = self._readable(listed, pairs, validation)
        if config.validation_list:
            self.cases, self.validation_pairs = without_held_back(listed, validation), validation
        else:
            self.cases, self.validation_pairs = self._hold_back(listed, pairs)
        places = {case.name: place for place, case in enumerate(self.cases)}
        self.pairs = tuple((places[a.name], places[b.name]) for a, b in pairs if a.name in places and b.name in places)
        self._check_enough(bool(pairs))
        self.store = CaseStore(config, space, derive)

    @property
    def derive(self) -> Derive | None:
        """What the recipe computes of each case; may be set until the first batch."""
        return self.store.derive

    @derive.setter
    def derive(self, derive: Derive | None) -> None:
        self.store.derive = derive
        self.store.memory.clear()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the training space."""
        return tuple(self.store.space.space.shape)

    @property
    def bytes_per_case(self) -> int:
        """Memory that a cached case takes, extras apart."""
        labelled = any(case.labels is not None for case in self.cases) and bool(self.store.space.labels)
        return int(torch.Size(self.shape).numel()) * (6 if labelled else 4)

    def facts(self, needs_mean: bool = False) -> DataFacts:
        """What a recipe must know before it builds its network.

        Raises:
            VoxelMorphError: the atlas cannot be read.
        """
        atlas = None if self.atlas is None else self.store.space.prepare(self.atlas)
        return DataFacts(
            shape=self.shape,
            labels=self.store.space.labels,
            labelled=all(case.labels is not None for case in self.cases),
            attributes=len(self.cases[0].attributes),
            mean=self._mean() if needs_mean else None,
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
        workers = config.workers
        if config.cache == "memory" and workers:
            self._fill_memory()
            workers = 0
        source = BatchSource(
            self.store,
            self.cases,
            self._draws(),
            self.atlas if self.samples == "pair" else None,
            config.batch_size,
            rank,
            world,
            config.strict,
            self.skipped if workers == 0 else dict(self.skipped),
        )
        places = range(first_step * config.accumulate, (first_step + steps) * config.accumulate)
        for batch, reasons in in_order(source, places, workers):
            self.skipped.update(reasons)
            yield batch

    def validation(self) -> Iterator[Batch]:
        """The validation pairs, one a batch, always in the same order; unreadable ones are left out.

        Raises:
            VoxelMorphError: no pair can be read, or with `config.strict` one cannot.
        """
        count = 0
        for number, pair in enumerate(self.validation_pairs):
            try:
                loaded = [self.store.load(case) for case in pair]
            except VoxelMorphError as error:
                if self.config.strict:
                    raise
                self.skipped[" ".join(case.name for case in pair)] = str(error)
                continue
            count += 1
            yield make_batch((number,), pair, loaded)
        if self.validation_pairs and not count:
            raise ImageError(f"No validation pair can be read: {next(reversed(self.skipped.values()))}")

    def _survey(self, cases: Sequence[Case], multiple: int) -> TrainingSpace:
        """Look at all files once; notes unreadable ones in `skipped`."""
        config, merges = self.config, parse_merges(self.config.merge_labels)
        unique = list({case.name: case for case in cases}.values())
        unlimited = config.space(None, multiple)
        seen = survey(unique, unlimited, merges, not config.labels, config.strict)
        self.skipped.update(seen.reasons)
        if self.atlas is not None:
            atlas = survey([self.atlas], unlimited, merges, not config.labels, strict=True)
            seen.extents.update(atlas.extents)
            seen.labels.update(atlas.labels)
        if not seen.extents:
            name, reason = next(iter(seen.reasons.items()))
            raise ImageError(f"None of the {len(unique)} images can be read. {name}: {reason}")
        if seen.reasons:
            name, reason = next(iter(seen.reasons.items()))
            warnings.warn(f"{len(seen.reasons)} of {len(unique)} cases are left out. {name}: {reason}", stacklevel=3)
        shape = tuple(config.shape) or common_shape(list(seen.extents.values()), multiple)
        self._warn_of_cropping(seen.extents, shape)
        return TrainingSpace(config.space(shape, multiple), self._labels(cases, seen.labels), merges)

    def _labels(self, cases: Sequence[Case], found: dict[str, frozenset[int]]) -> tuple[int, ...]:
        if not found and not any(case.labels for case in cases):
            return ()
        labels, sentence = choose_labels(self.config.labels, found)
        if sentence:
            warnings.warn(sentence, stacklevel=4)
        return labels

    def _warn_of_cropping(self, sizes: dict[str, tuple[int, ...]], shape: tuple[int, ...]) -> None:
        larger = [name for name, size in sizes.items() if any(n > limit for n, limit in zip(size, shape))]
        if larger:
            named = ", ".join(larger[:3]) + (", ..." if len(larger) > 3 else "")
            warnings.warn(
                f"{len(larger)} images are larger than the training space {shape} and are cut about their middle: "
                f"{named}. Give a larger shape to keep all of them.",
                stacklevel=4,
            )

    def _readable(self, listed: Sequence[Case], pairs: Sequence, validation: Sequence) -> tuple[Sequence, list, tuple]:
        def usable(case: Case) -> bool:
            return case.name not in self.skipped

        kept = tuple(case for case in listed if usable(case))
        return kept, [p for p in pairs if all(map(usable, p))], tuple(p for p in validation if all(map(usable, p)))

    def _hold_back(self, listed: Sequence[Case], pairs: Sequence) -> tuple[tuple[Case, ...], tuple]:
        """Cases to train on and `config.validation_pairs` pairs of others."""
        wanted = self.config.validation_pairs
        atlas = self.atlas if self.samples == "pair" else None
        if pairs:
            groups = [pairs[place] for (place,) in held_back(self.config.seed, len(pairs), 1)[:wanted]]
        else:
            size = 1 if atlas else 2
            places = held_back(self.config.seed, len(listed), size)[:wanted]
            groups = [tuple(listed[place] for place in group) + ((atlas,) if atlas else ()) for group in places]
        held = {case.name for group in groups for case in group if case is not atlas}
        if len(groups) < wanted:
            raise ConfigError(
                f"validation_pairs is {wanted}, but {len(listed)} images give only {len(groups)} pairs. Lower it."
            )
        return tuple(case for case in listed if case.name not in held), tuple(groups)

    def _check_enough(self, has_pairs: bool) -> None:
        needed = 2 if self.samples == "pair" and self.atlas is None else 1
        if len(self.cases) < needed or (has_pairs and not self.pairs):
            what = "pair" if has_pairs else "image" if needed == 1 else "two different images"
            raise ConfigError(
                f"The training has {len(self.cases)} readable images besides {len(self.validation_pairs)} validation "
                f"pairs and {len(self.skipped)} left out, but needs at least one {what}. Add images to the list."
                if needed == 1 or has_pairs
                else f"The training has {len(self.cases)} readable images besides {len(self.validation_pairs)} "
                f"validation pairs and {len(self.skipped)} left out, but needs {what}. Add images to the list."
            )

    def _draws(self) -> Draws:
        size = 2 if self.samples == "pair" and self.atlas is None else 1
        return Draws(self.config.seed, len(self.cases), size, self.pairs if size == 2 else ())

    def _fill_memory(self) -> None:
        """Prepare all cases that are not in memory yet in workers; what fails is noted and tried no more."""
        missing = [case for case in self.cases if case.name not in {*self.store.memory, *self.skipped}]
        if not missing:
            return
        items = in_order(CaseSource(self.store, missing), range(len(missing)), self.config.workers)
        for case, (prepared, reason) in zip(missing, items):
            if prepared is not None:
                self.store.memory[case.name] = prepared
            elif self.config.strict:
                raise ImageError(reason)
            else:
                self.skipped[case.name] = reason

    def _mean(self) -> torch.Tensor:
        """(C, *shape), of up to `MEAN_OF` images."""
        total, count = None, 0
        for case in self.cases[:MEAN_OF]:
            if case.name in self.skipped:
                continue
            try:
                image = self.store.load(replace(case)).image
            except VoxelMorphError as error:
                if self.config.strict:
                    raise
                self.skipped[case.name] = str(error)
                continue
            total, count = image.double() if total is None else total + image, count + 1
        if total is None:
            raise ImageError(f"None of the images can be read: {next(reversed(self.skipped.values()))}")
        return (total / count).float()
