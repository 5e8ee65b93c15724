"""The published network on a CUDA device: precisions and memory layouts, timed with events."""

from __future__ import annotations

import torch
from torch import nn

from .clock import cuda_seconds, interleaved, median, median_ratio
from .row import Row
from .settings import Settings
from .subjects import image_pair, in_precision, published_network

_PLAIN = "float32"


def measure_gpu(settings: Settings) -> list[Row]:
    """float32 and bfloat16, with the channels of a voxel side by side or not, and the peak of the GPU's memory."""
    if not torch.cuda.is_available():
        return [Row("gpu", "forward of the published network", note="this machine has no CUDA device")]
    network = published_network(settings)[0]
    moving, fixed = (image.cuda() for image in image_pair(settings))
    subjects = {}
    for precision in ("float32", "bfloat16"):
        subjects[precision] = in_precision(network, precision).cuda()
        subjects[f"{precision}, channels last"] = _channels_last(in_precision(network, precision).cuda())
    works = {name: lambda s=subject: s(moving, fixed) for name, subject in subjects.items()}
    times = interleaved(works, max(10, settings.repeats), cuda_seconds)
    return [
        Row(
            "gpu",
            f"forward of the published network, {name}",
            1000 * median(times[name]),
            "ms",
            "float32",
            median_ratio(times, name, _PLAIN),
            f"{_peak_bytes(works[name]) / 1e9:.2f} GB of GPU memory",
        )
        for name in works
    ]


def _channels_last(network: nn.Module) -> nn.Module:
    network.unet.to(memory_format=torch.channels_last_3d)
    return network


def _peak_bytes(work) -> int:
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        work()
    return torch.cuda.max_memory_allocated()
