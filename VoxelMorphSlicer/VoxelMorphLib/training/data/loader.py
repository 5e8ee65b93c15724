"""Numbers of batches -> batches of CPU tensors, in this process or in workers."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch.utils.data import DataLoader, Dataset

from ...core.errors import ImageError, VoxelMorphError
from .case import Batch, Case, join
from .sampling import Draws, sample_numbers
from .space import Prepared
from .store import CaseStore

#: Draws for one sample before the training ends for lack of readable files.
ATTEMPTS = 50


@dataclass
class BatchSource(Dataset):
    """Makes one batch from its number; each worker has a copy.

    Args:
        store: prepares the cases.
        cases: to draw from.
        draws: what a sample uses.
        atlas: the fixed image of all samples, or None.
        batch_size, rank, world: as in `sample_numbers`.
        strict: raise for the first case that cannot be read.
        reasons: why cases could not be read, by name; they are not tried again.
    """

    store: CaseStore
    cases: Sequence[Case]
    draws: Draws
    atlas: Case | None
    batch_size: int
    rank: int
    world: int
    strict: bool
    reasons: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, micro: int) -> tuple[Batch, dict[str, str]]:
        """The batch and why files were skipped in it."""
        numbers = sample_numbers(micro, self.batch_size, self.rank, self.world)
        batch = join([self._sample(number) for number in numbers])
        return batch, {name: self.reasons[name] for name in batch.skipped}

    def _sample(self, number: int) -> Batch:
        skipped: list[str] = []
        for _attempt, places in zip(range(ATTEMPTS), self.draws(number)):
            cases = [self.cases[place] for place in places]
            loaded = [self._loaded(case) for case in cases]
            if None not in loaded:
                if self.atlas is not None and len(cases) == 1:
                    cases.append(self.atlas)
                    loaded.append(self.store.load(self.atlas))
                return make_batch((number,), cases, loaded, tuple(skipped))
            skipped += [case.name for case, prepared in zip(cases, loaded) if prepared is None]
        name, reason = next(iter(self.reasons.items()))
        raise ImageError(f"{ATTEMPTS} images in a row cannot be read, such as {name}: {reason}")

    def _loaded(self, case: Case) -> Prepared | None:
        if case.name in self.reasons:
            return None
        try:
            return self.store.load(case)
        except VoxelMorphError as error:
            if self.strict:
                raise
            self.reasons[case.name] = str(error)
            return None


@dataclass
class CaseSource(Dataset):
    """The cases themselves, for workers that fill the memory."""

    store: CaseStore
    cases: Sequence[Case]

    def __getitem__(self, place: int) -> tuple[Prepared | None, str]:
        """A prepared case, or None and the reason."""
        try:
            return self.store.load(self.cases[place]), ""
        except VoxelMorphError as error:
            return None, str(error)


def make_batch(
    numbers: tuple[int, ...], cases: Sequence[Case], loaded: Sequence[Prepared], skipped: tuple[str, ...] = ()
) -> Batch:
    """A batch of one sample: of one case (fixed), or of two (moving, fixed)."""
    moving, fixed = (None, loaded[0]) if len(loaded) == 1 else loaded
    extras = {f"fixed_{name}": value[None] for name, value in fixed.extras.items()}
    if moving is not None:
        extras |= {f"moving_{name}": value[None] for name, value in moving.extras.items()}
    attributes = cases[-1].attributes

    def labels(prepared: Prepared | None) -> torch.Tensor | None:
        return None if prepared is None or prepared.labels is None else prepared.labels[None]

    return Batch(
        numbers=numbers,
        names=(" ".join(case.name for case in cases),),
        fixed=fixed.image[None],
        moving=None if moving is None else moving.image[None],
        fixed_labels=labels(fixed),
        moving_labels=labels(moving),
        attributes=torch.tensor([attributes], dtype=torch.float32) if attributes else None,
        extras=extras,
        skipped=skipped,
    )


def load_in_order(source: Dataset, places: range, workers: int) -> Iterator:
    """The items of a source in the order of their places, prepared ahead by `workers` processes.

    Raises:
        VoxelMorphError: as the source, whichever process it was raised in.
    """
    if workers and not sys.platform.startswith("linux"):
        # Elsewhere workers start empty and would need a copy of the task, network and memory included.
        warnings.warn("Workers load data on Linux only; the training process loads its data itself.", stacklevel=2)
        workers = 0
    if workers == 0:
        yield from (source[place] for place in places)
        return
    yield from _from_workers(source, places, workers)


def _from_workers(source: Dataset, places: range, workers: int) -> Iterator:
    loader = DataLoader(
        _ErrorsAsItems(source),
        batch_size=None,
        sampler=places,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts,
        multiprocessing_context="fork",
    )
    for item in loader:
        if isinstance(item, VoxelMorphError):
            raise item
        yield item


@dataclass
class _ErrorsAsItems(Dataset):
    """Returns errors meant for users as items; torch would add the worker's traceback to their text."""

    source: Dataset

    def __getitem__(self, place: int) -> object:
        try:
            return self.source[place]
        except VoxelMorphError as error:
            return error


def _ignore_interrupts(_worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal, but the training process alone decides how to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
