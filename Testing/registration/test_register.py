"""Jobs whose memory does not suffice: told what to lower, or done at half resolution or on the processor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, DeviceError, MemoryShortError
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.registration import pipeline
from VoxelMorphLib.registration import register as registering
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.memo import NetworkCache
from VoxelMorphLib.registration.register import register
from VoxelMorphLib.registration.request import RegistrationRequest

OUT_OF_MEMORY = [
    MemoryError(),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:113] DefaultCPUAllocator: can't allocate memory: you tried ..."),
]


def a_job(allow_fallback: bool = True, device: str = "cpu", affine: str = "none") -> RegistrationRequest:
    fixed, moving = (a_blob_image(a_geometry(name, (24, 20, 12), 1.5)) for name in ("oblique", "LPS"))
    options = RegistrationOptions(affine=affine, budget_s=2, device=device)
    return RegistrationRequest(fixed, moving, "optimise", options, allow_fallback=allow_fallback)


class ScarceMemory:
    """`register_once` on a machine whose memory is too small for some attempts; any device is really the processor.

    Args:
        fails: tells from the voxels of the fixed volume and the device whether the memory does not suffice.
        error: how that shows.
    """

    def __init__(self):
        self.fails = lambda voxels, device: False
        self.error: Exception = MemoryError()
        self.attempts: list[tuple[tuple[int, ...], str]] = []

    def __call__(self, request, *rest):
        size, shape, device = request.fixed.array.size, request.fixed.array.shape, request.options.device
        self.attempts.append((shape, device))
        if self.fails(size, device):
            raise self.error
        return pipeline.register_once(replace(request, options=replace(request.options, device="cpu")), *rest)


@pytest.fixture
def memory(monkeypatch) -> ScarceMemory:
    scarce = ScarceMemory()
    monkeypatch.setattr(registering, "register_once", scarce)
    monkeypatch.setattr(registering, "resolve_device", lambda name: name)
    return scarce


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_too_little_memory_is_told_with_what_to_lower(memory, error):
    memory.fails, memory.error = lambda *_: True, error
    message = r"The memory of cpu does not suffice .* 24x20x12 and 24x20x12 voxels\. Crop or downsample them"
    with pytest.raises(MemoryShortError, match=message):
        register(a_job(allow_fallback=False))
    assert memory.attempts == [((24, 20, 12), "cpu")]


def test_the_sentence_of_the_device_is_kept(memory):
    told = DeviceError("cuda:0 has too little free memory.")
    told.__cause__ = OUT_OF_MEMORY[1]
    memory.fails, memory.error = lambda *_: True, told
    with pytest.raises(DeviceError, match=r"^cuda:0 has too little free memory\.$"):
        register(a_job())


@pytest.mark.slow
def test_half_the_resolution_is_tried_first_and_said(memory):
    memory.fails = lambda voxels, _device: voxels > 3000
    job = a_job()
    result = register(job)
    assert memory.attempts == [((24, 20, 12), "cpu"), ((12, 10, 12), "cpu")]
    warning = "The memory of cpu did not suffice, so the volumes were registered at half their resolution."
    assert result.report.warnings[0] == warning
    assert result.moved.geometry.matches(job.fixed.geometry)
    np.testing.assert_array_equal(result.moved.array, result.forward.resample(job.moving, job.fixed.geometry).array)
    assert result.report.fixed == str(job.fixed.geometry)
    assert result.report.similarity_after > 0.95


def test_masks_stay_when_the_resolution_is_halved(memory):
    memory.fails = lambda voxels, _device: voxels > 3000
    job = a_job()
    geometry = job.fixed.geometry
    near = np.linalg.norm(geometry.points() - geometry.centre, axis=-1) < 9
    mask = LabelMap(near.astype(np.uint8), geometry, "ball")
    fixed = job.fixed.with_array(np.where(near, job.fixed.array, 1e4).astype(np.float32))
    result = register(replace(job, fixed=fixed, fixed_mask=mask, moving_mask=mask))
    assert "half their resolution" in result.report.warnings[0]
    inside = np.linalg.norm(geometry.points() - geometry.centre, axis=-1) < 7
    moved = result.moved.array[inside]
    assert np.corrcoef(moved, job.fixed.array[inside])[0, 1] > 0.97


@pytest.mark.slow
def test_the_processor_is_tried_when_half_the_resolution_does_not_help(memory):
    memory.fails = lambda _voxels, device: device != "cpu"
    result = register(a_job(device="cuda:0"))
    assert [device for _shape, device in memory.attempts] == ["cuda:0", "cuda:0", "cpu"]
    assert memory.attempts[-1][0] == (24, 20, 12)
    assert "cuda:0 did not suffice, so the volumes were registered on the processor." in result.report.warnings[0]


@pytest.mark.slow
def test_the_last_resort_is_the_processor_at_half_the_resolution(memory):
    memory.fails = lambda voxels, device: device != "cpu" or voxels > 3000
    result = register(a_job(device="cuda:0"))
    assert len(memory.attempts) == 4
    assert "on the processor at half their resolution" in result.report.warnings[0]


def test_when_nothing_helps_the_first_failure_is_told(memory):
    memory.fails = lambda *_: True
    with pytest.raises(DeviceError, match="The memory of cuda:0 does not suffice") as told:
        register(a_job(device="cuda:0"))
    assert type(told.value) is DeviceError  # a weaker attempt is no advice any more
    assert len(memory.attempts) == 4


@pytest.mark.slow
def test_networks_are_forgotten_before_another_attempt(memory):
    class Watched(NetworkCache):
        cleared = 0

        def clear(self):
            self.cleared += 1
            super().clear()

    memory.fails = lambda voxels, _device: voxels > 3000
    networks = Watched()
    register(a_job(), cache=RegistrationCache(networks))
    assert networks.cleared == 1


@pytest.mark.parametrize("error", [Cancelled("stop"), ZeroDivisionError("ours"), RuntimeError("a device assertion")])
def test_other_errors_are_nobodys_memory(memory, error):
    memory.fails, memory.error = lambda *_: True, error
    with pytest.raises(type(error), match=str(error)):
        register(a_job())
    assert len(memory.attempts) == 1


@pytest.mark.slow
def test_a_job_with_memory_is_register(memory):
    result = register(a_job())
    assert len(memory.attempts) == 1
    assert not any("memory" in warning for warning in result.report.warnings)


def test_halved_images_keep_their_place_and_brightness():
    image = a_blob_image(a_geometry("left-handed oblique", (32, 24, 10), 1.5))
    half = registering._halved(image)
    assert half.array.shape == (16, 12, 10)
    np.testing.assert_allclose(half.geometry.spacing, image.geometry.spacing * (2, 2, 1))
    np.testing.assert_allclose(half.geometry.centre, image.geometry.centre, atol=1e-9)
    truth = a_blob_image(half.geometry).array
    assert np.abs(half.array - truth).max() < 0.12 * truth.max()
