"""Which cases a training uses, and which pairs it is judged by; no case does both."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...core.errors import ConfigError
from ..config import TrainingConfig
from .case import Case
from .sampling import held_back

Pair = tuple[Case, Case]


@dataclass(frozen=True)
class Split:
    """The cases of a training.

    Args:
        cases: to train on.
        pairs: (moving, fixed) of them, where a list names pairs.
        validation: (moving, fixed), of other cases.
    """

    cases: tuple[Case, ...]
    pairs: tuple[Pair, ...] = ()
    validation: tuple[Pair, ...] = ()

    def without(self, names: set[str]) -> Split:
        """The split without some cases and the pairs they are in."""

        def kept(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
            return tuple(pair for pair in pairs if not {case.name for case in pair} & names)

        cases = tuple(case for case in self.cases if case.name not in names)
        return Split(cases, kept(self.pairs), kept(self.validation))

    def places(self) -> tuple[tuple[int, int], ...]:
        """The pairs as places in the cases."""
        found = {case.name: place for place, case in enumerate(self.cases)}
        return tuple((found[moving.name], found[fixed.name]) for moving, fixed in self.pairs)


def hold_back(split: Split, config: TrainingConfig, atlas: Case | None) -> Split:
    """Take the cases of the validation out of the training.

    Args:
        split: all cases, pairs and, from `validation_list`, validation pairs.
        config: `validation_pairs` counts where there is no `validation_list`; its seed decides which.
        atlas: the fixed image of all pairs, or None.

    Raises:
        ConfigError: too few images for so many pairs, or no pair of the list can be used.
    """
    if config.validation_list:
        if not split.validation:
            raise ConfigError(
                f"No pair of validation_list {config.validation_list!r} can be used. Check its files, or leave it out."
            )
        taken = {case.image.resolve() for pair in split.validation for case in pair}
        names = {case.name for case in split.cases if case.image.resolve() in taken}
        if names:
            warnings.warn(
                f"{len(names)} of {len(split.cases)} images are not trained on because validation_list uses them.",
                stacklevel=3,
            )
        return replace(split.without(names), validation=split.validation)
    validation = _random_pairs(split, config.seed, atlas)[: config.validation_pairs]
    if len(validation) < config.validation_pairs:
        raise ConfigError(
            f"validation_pairs is {config.validation_pairs}, but {len(split.cases)} images give only "
            f"{len(validation)} pairs. Lower it."
        )
    names = {case.name for pair in validation for case in pair if case is not atlas}
    return replace(split.without(names), validation=tuple(validation))


def check_enough(split: Split, config: TrainingConfig, needed: int, left_out: int) -> None:
    """Raise ConfigError where there is nothing to draw samples from.

    Args:
        split: what is left for the training.
        config: of the training.
        needed: different images of one sample.
        left_out: cases that cannot be read.
    """
    lacks_pair = bool(config.pair_list) and needed == 2 and not split.pairs
    if len(split.cases) >= needed and not lacks_pair:
        return
    what = "a pair of pair_list" if lacks_pair else "an image" if needed == 1 else "two different images"
    raise ConfigError(
        f"A sample needs {what}, but {len(split.cases)} images are left to train on besides {len(split.validation)} "
        f"validation pairs and {left_out} cases that cannot be used. Add images to the list."
    )


def _random_pairs(split: Split, seed: int, atlas: Case | None) -> list[Pair]:
    """Pairs in a random order: those of the list, or of cases that are in one pair only."""
    if split.pairs and atlas is None:
        return [split.pairs[place] for (place,) in held_back(seed, len(split.pairs), 1)]
    groups = held_back(seed, len(split.cases), 2 if atlas is None else 1)
    cases = [[split.cases[place] for place in group] for group in groups]
    return [(group[0], group[1] if atlas is None else atlas) for group in cases]
