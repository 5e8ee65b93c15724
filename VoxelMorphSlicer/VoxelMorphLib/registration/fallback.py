"""One job to its registration, at half resolution or on the processor where the memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ..core.devices import resolve_device
from ..core.errors import DeviceError, MemoryShortError, VoxelMorphError
from ..core.image import Image
from ..core.job import RegistrationJob
from ..core.progress import Progress, silent
from ..core.transform import IDENTITY
from .cache import RegistrationCache
from .masks import fitted_mask, hide_outside
from .network_space import without_aliasing
from .pipeline import register
from .result import Registration

#: Axes of fewer voxels keep their resolution.
SMALLEST_HALVED_EXTENT = 16


def register_job(
    job: RegistrationJob, progress: Progress = silent, cache: RegistrationCache | None = None
) -> Registration:
    """Register as `register` does; what was given up for lack of memory stands first among the report's warnings.

    Args:
        job: the pair and how to register it.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        cache: keeps what the next call can use.

    Raises:
        MemoryShortError: the memory does not suffice, and the job allows no weaker attempt.
        DeviceError: they failed too.
        VoxelMorphError: as `register`.
    """
    result, failure = _attempt(job, progress, cache)
    if result is not None:
        return result
    for weaker, concession in _weaker(job) if job.allow_fallback else ():
        if cache is not None:
            cache.clear()
        release_memory()
        progress(0.0, concession)
        result, _failure = _attempt(weaker, progress, cache)
        if result is not None:
            return _completed(result, job, concession)
    raise DeviceError(failure) if job.allow_fallback else MemoryShortError(failure)


def release_memory() -> None:
    """Give memory that torch keeps for later back to the device."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _attempt(
    job: RegistrationJob, progress: Progress, cache: RegistrationCache | None
) -> tuple[Registration | None, str]:
    """The registration, or why the memory did not suffice; the error itself would keep the tensors alive."""
    try:
        arguments = (job.fixed, job.moving, job.model, job.options, progress, job.weights_dir, job.initial)
        masks = {"fixed_mask": job.fixed_mask, "moving_mask": job.moving_mask}
        return register(*arguments, cache=cache, **masks), ""
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return None, str(error) if isinstance(error, VoxelMorphError) else _sentence(job)


def _is_out_of_memory(error: BaseException) -> bool:
    """Torch tells it by a class on CUDA and by words elsewhere."""
    causes = [error, error.__cause__]
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return any(
        isinstance(cause, (MemoryError, torch.cuda.OutOfMemoryError))
        or (isinstance(cause, RuntimeError) and any(word in str(cause) for word in words))
        for cause in causes
    )


def _sentence(job: RegistrationJob) -> str:
    shapes = " and ".join("x".join(map(str, image.array.shape)) for image in (job.fixed, job.moving))
    return (
        f"The memory of {resolve_device(job.options.device)} does not suffice to register volumes of {shapes} voxels. "
        "Crop or downsample them, choose another device, or close other programs."
    )


def _weaker(job: RegistrationJob) -> Iterator[tuple[RegistrationJob, str]]:
    """Less and less demanding jobs, each with the sentence that says what it gives up."""
    device = resolve_device(job.options.device)
    half = replace(
        job,
        fixed=_halved(hide_outside(job.fixed, fitted_mask(job.fixed_mask, job.fixed, "fixed"))),
        moving=_halved(hide_outside(job.moving, fitted_mask(job.moving_mask, job.moving, "moving"))),
    )
    yield half, f"The memory of {device} did not suffice, so the volumes were registered at half their resolution."
    if device != "cpu":
        on_cpu = replace(job.options, device="cpu")
        yield (
            replace(job, options=on_cpu),
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


def _completed(result: Registration, job: RegistrationJob, concession: str) -> Registration:
    """The result of a weaker job as that of the job: the original voxels on the original grid."""
    options = job.options
    moved = result.forward.resample(job.moving, job.fixed.geometry, options.interpolation, options.background)
    report = replace(
        result.report,
        options=options.to_dict(),
        fixed=str(job.fixed.geometry),
        moving=str(job.moving.geometry),
        warnings=(concession, *result.report.warnings),
    )
    return Registration(moved, result.forward, result.inverse, report)
