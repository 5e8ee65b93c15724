"""Our networks against the PyPI package voxelmorph 0.3.4: processor time of one registration on one thread."""

from __future__ import annotations

import torch
from torch import nn

from .clock import Times, interleaved, median, median_ratio, processor_seconds
from .row import Row
from .settings import Settings
from .subjects import full_resolution_network, image_pair, in_precision, published_network

_OTHER = "voxelmorph 0.3.4 VxmPairwise"
#: What the other network needs, for pip.
PACKAGES = "voxelmorph==0.3.4 neurite==0.3.4 six einops tqdm pystrum scikit-image lazy_loader packaging"


def measure_against_pypi(settings: Settings) -> list[Row]:
    """Field and moved image by `VxmPairwise` with its default arguments, by the published network and by VxmDense."""
    torch.set_num_threads(1)
    moving, fixed = image_pair(settings)
    published, full = published_network(settings)[0], full_resolution_network()
    subjects = {
        f"{name}, {precision}": in_precision(network, precision)
        for name, network in (("published network", published), ("VxmDense at full resolution", full))
        for precision in ("float32", "bfloat16")
    }
    works = {name: lambda s=subject: s(moving, fixed) for name, subject in subjects.items()}
    other, reason = _other_network()
    if other is not None:
        works[_OTHER] = lambda: other(moving, fixed, return_warped_source=True)
    times = interleaved(works, settings.repeats, processor_seconds)
    rows = [_row(name, times, other is not None) for name in times]
    return rows if other is not None else [*rows, Row("compare", _OTHER, note=reason)]


def _row(name: str, times: Times, compared: bool) -> Row:
    if not compared or name == _OTHER:
        return Row("compare", name, median(times[name]), "s CPU", note="1 thread")
    return Row(
        "compare", name, median(times[name]), "s CPU", "VxmPairwise", median_ratio(times, name, _OTHER), "1 thread"
    )


def _other_network() -> tuple[nn.Module | None, str]:
    try:
        from voxelmorph.nn.models import VxmPairwise
    except ImportError as error:
        return None, f"{error}; pip install --no-deps {PACKAGES}"
    torch.manual_seed(0)
    return VxmPairwise(3, 1, 1).eval().requires_grad_(False), ""
