"""register(): a request to its result, at half resolution or on the processor where the memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.config import RegistrationOptions
from ..core.devices import resolve_device
from ..core.errors import DeviceError, MemoryShortError, VoxelMorphError
from ..core.image import Image
from ..core.memory import is_memory_shortage
from ..core.progress import Progress, silent
from ..core.transform import IDENTITY
from .cache import RegistrationCache
from .masks import fitted_mask, hide_outside
from .network_space import without_aliasing
from .pipeline import register_once
from .request import RegistrationRequest
from .result import Registration

#: Axes of fewer voxels keep their resolution.
SMALLEST_HALVED_EXTENT = 16


def register(
    request: RegistrationRequest, progress: Progress = silent, cache: RegistrationCache | None = None
) -> Registration:
    """Align two volumes; what was given up for lack of memory stands among the report's first warnings.

    Args:
        request: the pair and how to register it.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        cache: keeps what the next call can use.

    Raises:
        MemoryShortError: the memory does not suffice, and the request allows no weaker attempt.
        DeviceError: they failed too.
        VoxelMorphError: as `pipeline.register_once`.
    """
    result, failure = _attempt(request, progress, cache)
    if result is not None:
        return result
    for weaker, concession in _weaker(request) if request.allow_fallback else ():
        if cache is not None:
            cache.clear()
        release_memory()
        progress(0.0, concession)
        result, _failure = _attempt(weaker, progress, cache)
        if result is not None:
            return _completed(result, request, concession)
    raise DeviceError(failure) if request.allow_fallback else MemoryShortError(failure)


def register_pair(
    fixed: Image | str | Path,
    moving: Image | str | Path,
    model: str | Path | None = None,
    options: RegistrationOptions | None = None,
    progress: Progress = silent,
    cache: RegistrationCache | None = None,
    **fields: Any,
) -> Registration:
    """Align two volumes or files, without making a request first; `VoxelMorphLib.register` is this function.

    Args:
        fixed, moving, model: as of a `RegistrationRequest`.
        options: of the request; None takes the defaults.
        progress, cache: as of `register`.
        fields: the other fields of the request by name.

    Raises:
        VoxelMorphError: as `register` and `RegistrationRequest.read`.
    """
    if options is not None:
        fields["options"] = options
    return register(RegistrationRequest.read(fixed=fixed, moving=moving, model=model, **fields), progress, cache)


def release_memory() -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _attempt(
    request: RegistrationRequest, progress: Progress, cache: RegistrationCache | None
) -> tuple[Registration | None, str]:
    """The registration, or why the memory did not suffice; the error itself would keep the tensors alive."""
    try:
        return register_once(request, progress, cache), ""
    except Exception as error:
        if not is_memory_shortage(error):
            raise
        return None, str(error) if isinstance(error, VoxelMorphError) else _sentence(request)


def _sentence(request: RegistrationRequest) -> str:
    shapes = " and ".join("x".join(map(str, image.array.shape)) for image in (request.fixed, request.moving))
    return (
        f"The memory of {resolve_device(request.options.device)} does not suffice to register volumes of {shapes} "
        "voxels. Crop or downsample them, choose another device, or close other programs."
    )


def _weaker(request: RegistrationRequest) -> Iterator[tuple[RegistrationRequest, str]]:
    """Less and less demanding requests, each with the sentence that says what it gives up."""
    device = resolve_device(request.options.device)
    half = replace(
        request,
        fixed=_halved(hide_outside(request.fixed, fitted_mask(request.fixed_mask, request.fixed, "fixed"))),
        moving=_halved(hide_outside(request.moving, fitted_mask(request.moving_mask, request.moving, "moving"))),
    )
    yield half, f"The memory of {device} did not suffice, so the volumes were registered at half their resolution."
    if device != "cpu":
        on_cpu = replace(request.options, device="cpu")
        yield (
            replace(request, options=on_cpu),
            f"The memory of {device} did not suffice, so the volumes were registered on the processor.",
        )
        yield (
            replace(half, options=on_cpu),
            f"The memory of {device} did not suffice, so the volumes were registered on the processor at half their "
            "resolution.",
        )


def _halved(image: Image) -> Image:
    """The image on voxels of twice the size, smoothed before it is sampled down."""
    factor = np.where(np.array(image.array.shape) >= SMALLEST_HALVED_EXTENT, 2.0, 1.0)
    grid = image.geometry.with_spacing(image.geometry.spacing * factor)
    precise = Image(image.array.astype(np.float32), image.geometry, image.name)
    return IDENTITY.resample(without_aliasing(precise, grid), grid)


def _completed(result: Registration, request: RegistrationRequest, concession: str) -> Registration:
    """The result of a weaker request as that of the request: the original voxels on the original grid."""
    options = request.options
    moved = result.forward.resample(request.moving, request.fixed.geometry, options.interpolation, options.background)
    worse, told = result.report.worse, result.report.warnings
    at = 1 if worse else 0  # that it is worse stands first
    report = replace(
        result.report,
        options=options.to_dict(),
        fixed=str(request.fixed.geometry),
        moving=str(request.moving.geometry),
        warnings=(*told[:at], concession, *told[at:]),
    )
    return Registration(moved, result.forward, result.inverse, report)
