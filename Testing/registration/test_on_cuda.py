"""A graphics card gives the registration of the processor, and its memory back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.cuda_device import needs_cuda
from support.volumes import a_blob_image, a_geometry
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.register import register_pair, release_memory

ON_CUDA = RegistrationOptions(affine="none", device="cuda:0")
ON_CPU = replace(ON_CUDA, device="cpu")


@pytest.fixture
def a_pair():
    geometry = a_geometry("oblique", (30, 26, 28), 1.5)
    return a_blob_image(geometry), a_blob_image(geometry, 1)


@pytest.fixture
def a_file(tmp_path):
    return write_tiny_network(tmp_path / "tiny.safetensors")


@needs_cuda
def test_a_network_gives_the_transforms_of_the_processor(a_pair, a_file):
    there, here = (register_pair(*a_pair, a_file, options) for options in (ON_CUDA, ON_CPU))
    assert (there.report.device, here.report.device) == ("cuda:0", "cpu")
    points = a_pair[0].geometry.points().reshape(-1, 3)
    for name in ("forward", "inverse"):
        ours, theirs = (getattr(result, name).apply_to_points(points) for result in (there, here))
        assert np.abs(ours - theirs).max() < 0.02  # mm; convolutions of float32 use tf32 there
        assert np.abs(theirs - points).max() > 0.1


@needs_cuda
def test_a_pair_is_optimised_there(a_pair):
    report = register_pair(*a_pair, "optimise", replace(ON_CUDA, budget_s=10)).report
    assert report.similarity_after > report.similarity_before + 0.1
    assert report.folded_voxels == 0


@needs_cuda
def test_auto_takes_it(a_pair, a_file):
    assert register_pair(*a_pair, a_file, replace(ON_CUDA, device="auto")).report.device == "cuda:0"


@needs_cuda
def test_its_memory_is_given_back(a_pair, a_file):
    cache = RegistrationCache()
    register_pair(*a_pair, a_file, ON_CUDA, cache=cache)
    cache.networks.clear()
    release_memory()
    held = torch.cuda.memory_allocated()
    for _ in range(2):
        register_pair(*a_pair, a_file, ON_CUDA, cache=cache)
        cache.networks.clear()
    release_memory()
    assert torch.cuda.memory_allocated() <= held
