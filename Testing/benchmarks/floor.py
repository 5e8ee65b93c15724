"""The published network against the sum of its own convolutions: how much all the rest costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from VoxelMorphLib.core.config import PRECISIONS
from VoxelMorphLib.networks.convolution import channels_last, convolve

from .clock import interleaved, median, median_ratio, processor_seconds, wall_seconds
from .row import Row
from .settings import Settings
from .subjects import image_pair, in_precision, published_network

_OPERATORS = (torch.ops.aten.convolution.default, torch.ops.aten.mkldnn_convolution.default)


@dataclass(frozen=True)
class Convolution:
    """One convolution of a network: extents of its input on a probe grid, and its weights."""

    shape: tuple[int, ...]
    weight: Tensor
    bias: Tensor | None

    def alone(self, scale: tuple[int, ...]) -> Callable[[], Tensor]:
        """The convolution on a random input of the probe's extents times `scale`."""
        batch, channels, *extents = self.shape
        image = torch.randn(batch, channels, *(n * s for n, s in zip(extents, scale)), dtype=self.weight.dtype)
        image = channels_last(image)
        return lambda: convolve(image, self.weight, self.bias)


class ConvolutionRecorder(TorchDispatchMode):
    """Notes every convolution that torch runs inside its context."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions: list[Convolution] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if operator in _OPERATORS:
            image, weight, bias = args[:3]
            self.convolutions.append(Convolution(tuple(image.shape), weight.detach(), bias))
        return operator(*args, **(kwargs or {}))


def convolutions_of(network: nn.Module) -> list[Convolution]:
    """What the network convolves, seen on its smallest grid; with gradients on it takes its plain, unfused steps."""
    probe = torch.zeros(1, 1, *[network.multiple] * 3)
    with ConvolutionRecorder() as recorder, torch.enable_grad():
        network(probe, probe)
    return recorder.convolutions


def measure_floor(settings: Settings) -> list[Row]:
    """Forward passes in both precisions against their convolutions alone, and the cost of bfloat16 in voxels."""
    network, weights = published_network(settings)
    pair = image_pair(settings)
    rows = [
        _against_floor(in_precision(network, precision), precision, pair, threads, weights, settings)
        for threads in sorted({1, settings.threads})
        for precision in PRECISIONS
    ]
    return [*rows, _velocity_error(network, *pair)]


def _against_floor(
    network: nn.Module, precision: str, pair: tuple[Tensor, Tensor], threads: int, weights: str, settings: Settings
) -> Row:
    """One thread is timed by the processor's clock, which other programs disturb less; several by the wall's."""
    torch.set_num_threads(threads)
    clock, unit = (processor_seconds, "s CPU") if threads == 1 else (wall_seconds, "s")
    works = {"forward": lambda: network(*pair), "floor": alone_on(network, settings.shape)}
    times = interleaved(works, settings.repeats, clock)
    floor, ratio = median(times["floor"]), median_ratio(times, "forward", "floor")
    note = f"{threads} thread{'s' * (threads > 1)}, {weights}; its convolutions alone {floor:.3g} {unit}"
    name = f"forward of the published network, {precision}"
    return Row("floor", name, median(times["forward"]), unit, "its convolutions", ratio, note)


def alone_on(network: nn.Module, shape: Sequence[int]) -> Callable[[], None]:
    """The convolutions of a network on a grid, one after the other, on random inputs."""
    scale = tuple(n // network.multiple for n in shape)
    works = [convolution.alone(scale) for convolution in convolutions_of(network)]

    def run_all() -> None:
        for work in works:
            work()

    return run_all


def _velocity_error(network: nn.Module, moving: Tensor, fixed: Tensor) -> Row:
    with torch.inference_mode():
        exact, rough = (in_precision(network, p)(moving, fixed).velocity for p in PRECISIONS)
    error = (rough - exact).abs()
    note = f"mean {error.mean():.2g}; velocities reach {exact.abs().max():.3g}"
    return Row("floor", "largest velocity error of bfloat16", float(error.max()), "voxels", note=note)
