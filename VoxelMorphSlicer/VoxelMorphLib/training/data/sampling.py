"""Sample numbers -> the cases they use; a number decides everything random about its sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

#: Independent streams of random numbers of one sample.
DRAW, HOLD_BACK, AUGMENT = range(3)


def generator(seed: int, number: int, stream: int) -> np.random.Generator:
    """Random numbers that depend on nothing else: not on workers, ranks or where a training was resumed."""
    return np.random.default_rng((seed, number, stream))


def torch_seed(seed: int, number: int, stream: int) -> int:
    """A seed for a generator of torch, as independent of its neighbours as `generator`."""
    return int(np.random.SeedSequence((seed, number, stream)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True)
class Draws:
    """Which cases a sample uses.

    Args:
        seed: of the training.
        cases: how many there are to draw from.
        size: cases of one sample, 1 or 2.
        pairs: places (moving, fixed); drawn instead of two different cases where given.
    """

    seed: int
    cases: int
    size: int
    pairs: Sequence[tuple[int, int]] = ()

    def __call__(self, number: int) -> Iterator[tuple[int, ...]]:
        """The sample's cases and then, without end, those that replace them when they cannot be read."""
        random = generator(self.seed, number, DRAW)
        while True:
            if self.pairs:
                yield self.pairs[int(random.integers(len(self.pairs)))]
                continue
            first = int(random.integers(self.cases))
            if self.size == 1:
                yield (first,)
            else:
                yield first, (first + 1 + int(random.integers(self.cases - 1))) % self.cases


def sample_numbers(micro: int, batch_size: int, rank: int, world: int) -> tuple[int, ...]:
    """Numbers of the samples of one batch.

    Args:
        micro: batches of this rank before it, since the training began.
        batch_size: of each rank.
        rank, world: this process and how many there are; together they see what one process with
            `world * batch_size` samples a batch sees.
    """
    first = (micro * world + rank) * batch_size
    return tuple(range(first, first + batch_size))


def held_back(seed: int, count: int, size: int) -> list[tuple[int, ...]]:
    """All of `count` places in groups of `size`, in a random order that only the seed decides."""
    order = generator(seed, 0, HOLD_BACK).permutation(count).tolist()
    return [tuple(order[start : start + size]) for start in range(0, count - size + 1, size)]


def device_generator(device: torch.device, seed: int) -> torch.Generator:
    """A seeded generator of torch for tensors of a device."""
    return torch.Generator(device=device).manual_seed(seed)
