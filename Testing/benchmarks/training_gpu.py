"""Training steps at full size on a CUDA device: precisions, memory layouts, compiled steps and captured ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .clock import cuda_seconds, interleaved, median, median_ratio
from .row import Row
from .settings import Settings
from .subjects import image_pair
from .training_subjects import DEFAULT_LEVELS, OTHER, OURS, loss_of, missing_package, network_named, step_of

Step = Callable[[], object]

_WARM_UP = 3


def measure_gpu_steps(settings: Settings) -> list[Row]:
    """Steps per second and peak memory of every variant; those that a version of torch cannot run say why."""
    if not torch.cuda.is_available():
        return [Row("training", "steps on a GPU", note="this machine has no CUDA device")]
    pair = [image.cuda() for image in image_pair(settings)]
    rows, steps = [], {}
    for name, make in _variants(pair).items():
        try:
            steps[name] = make()
            for _ in range(_WARM_UP):
                steps[name]()
        except (RuntimeError, NotImplementedError, ImportError) as error:
            steps.pop(name, None)
            rows.append(Row("training", f"GPU step, {name}", note=(str(error) or repr(error)).splitlines()[0]))
    return [*_timed(steps, "x".join(map(str, settings.shape)), settings.repeats), *rows]


def _timed(steps: dict[str, Step], size: str, repeats: int) -> list[Row]:
    peaks = {name: _peak_bytes(step) for name, step in steps.items()}
    times = interleaved(steps, max(10, repeats), cuda_seconds, gradients=True)
    plain = f"{OTHER}, float32" if f"{OTHER}, float32" in steps else f"{OURS}, float32"
    return [
        Row(
            "training",
            f"GPU step, {name}, {size}",
            1 / median(times[name]),
            "steps/s",
            plain,
            median_ratio(times, plain, name),
            f"{peaks[name] / 1e9:.2f} GB more at the peak of GPU memory",
        )
        for name in steps
    ]


def _variants(pair: list[Tensor]) -> dict[str, Callable[[], Step]]:
    """Functions that make a step, by name."""
    variants = {
        f"{OURS}, float32": lambda: _step(OURS, pair),
        f"{OURS}, float32, channels last": lambda: _step(OURS, pair, channels_last=True),
        f"{OURS}, bfloat16": lambda: _step(OURS, pair, bfloat16=True),
        f"{OURS}, bfloat16, channels last": lambda: _step(OURS, pair, bfloat16=True, channels_last=True),
        f"{OURS}, bfloat16, torch.compile": lambda: _step(OURS, pair, bfloat16=True, compiled=True),
        f"{OURS}, bfloat16, CUDA graph": lambda: _captured(_step(OURS, pair, bfloat16=True, capturable=True)),
    }
    if not missing_package():
        variants[f"{OTHER}, float32"] = lambda: _step(OTHER, pair)
        variants[f"{OTHER}, bfloat16"] = lambda: _step(OTHER, pair, bfloat16=True)
    return variants


def _step(
    name: str,
    pair: list[Tensor],
    bfloat16: bool = False,
    channels_last: bool = False,
    compiled: bool = False,
    capturable: bool = False,
) -> Step:
    """The step of a new network; bfloat16 is that of autocast, with weights of float32, as the trainer has it."""
    network = network_named(name, DEFAULT_LEVELS).cuda()
    if channels_last:
        network.to(memory_format=torch.channels_last_3d)
    loss = loss_of(name, network)
    loss = torch.compile(loss) if compiled else loss

    def cast(moving: Tensor, fixed: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16, cache_enabled=not capturable):
            return loss(moving, fixed)

    return step_of(network, cast, *pair, capturable=capturable)


def _captured(step: Step) -> Step:
    """The step as a CUDA graph, after some on a stream of their own as torch asks for it."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _peak_bytes(step: Step) -> int:
    """What a step adds to the memory that all variants hold."""
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() - held
