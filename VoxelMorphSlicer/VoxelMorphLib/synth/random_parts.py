"""Random numbers of one sample: one stream for each part of it, so that a seed fixes the sample on a device."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_LARGEST_SEED = 2**62


class Part:
    """The random numbers of one part of a sample, such as its noise.

    Args:
        seed: of this part.
        device: of the fields; single numbers are always drawn on the CPU, so that nothing waits for a GPU.
    """

    def __init__(self, seed: int, device: torch.device):
        self._cpu = torch.Generator().manual_seed(seed)
        self._fields = self._cpu if device.type == "cpu" else torch.Generator(device=device).manual_seed(seed)
        self._device = device

    def uniform(self, low: float, high: float, *size: int) -> Tensor:
        """Numbers between `low` and `high`, on the CPU."""
        return low + (high - low) * torch.rand(size, generator=self._cpu)

    def between(self, low: Sequence[float], high: Sequence[float]) -> Tensor:
        """A number between each pair of bounds, on the CPU."""
        lower, upper = torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)
        return lower + (upper - lower) * torch.rand(lower.shape, generator=self._cpu)

    def normal(self, std: float, *size: int) -> Tensor:
        """Normal numbers around 0, on the CPU."""
        return std * torch.randn(size, generator=self._cpu)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return float(torch.rand((), generator=self._cpu)) < probability

    def choice(self, count: int) -> int:
        """A number from 0 to `count` - 1."""
        return int(torch.randint(count, (), generator=self._cpu))

    def order(self, count: int) -> list[int]:
        """All numbers from 0 to `count` - 1 in a random order."""
        return torch.randperm(count, generator=self._cpu).tolist()

    def noise(self, *size: int) -> Tensor:
        """White noise of standard deviation 1, on the device."""
        return torch.randn(size, generator=self._fields, device=self._device)


class Sample:
    """The random numbers of one sample.

    Args:
        generator: on the CPU; one number is drawn from it.
        device: of the fields.
        seeds: part -> a seed of its own, which makes this part the same in all samples.
    """

    def __init__(self, generator: torch.Generator, device: torch.device, seeds: Mapping[str, int] | None = None):
        self._seed = int(torch.randint(_LARGEST_SEED, (), generator=generator))
        self._device, self._seeds = device, seeds or {}

    def part(self, name: str) -> Part:
        """The numbers of a part, from their beginning."""
        own = zlib.crc32(name.encode()) << 24
        seed = self._seeds[name] if name in self._seeds else self._seed ^ own
        return Part(seed % _LARGEST_SEED, self._device)


def samples_of(
    generators: Sequence[torch.Generator], device: torch.device, seeds: Mapping[str, int] | None = None
) -> list[Sample]:
    """The random numbers of every item of a batch; see `Sample`."""
    return [Sample(generator, device, seeds) for generator in generators]
