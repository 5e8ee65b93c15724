"""What a registration needs is estimated before it is computed, and told where that is not free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from VoxelMorphLib.core import memory
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import MemoryShortError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.memory_need import memory_need
from VoxelMorphLib.registration.predictor import load_predictor
from VoxelMorphLib.registration.register import register, register_pair
from VoxelMorphLib.registration.request import RegistrationRequest

MIB = 2**20


def a_ball(extent: int, spacing: float = 1.0, share: float = 0.45) -> Image:
    places = np.indices((extent,) * 3, np.float32) - (extent - 1) / 2
    ball = np.sqrt((places**2).sum(0)) < share * extent
    array = (ball * (600 + 200 * np.sin(places[0] / 3) * np.cos(places[1] / 4))).astype(np.int16)
    return Image(array, Geometry(array.shape, np.diag([spacing] * 3 + [1.0])), "ball")


def need_mib(extent: int, model: str = "optimise", exactly: bool = True, share: float = 0.45, **options) -> float:
    image = a_ball(extent, share=share)
    request = RegistrationRequest(image, image, model, RegistrationOptions(device="cpu", **options))
    return memory_need(image, image, load_predictor(request, lambda *_: None), exactly) / MIB


@pytest.mark.parametrize(
    ("extent", "model", "options", "measured"),
    [
        (100, "optimise", {}, 391),
        (160, "optimise", {}, 1078),
        (100, "optimise", {"refine": "best", "similarity": "mind"}, 948),
        (100, "optimise", {"similarity": "mi"}, 418),
        (160, "hippocampus-T1", {}, 334),
    ],
)
def test_the_estimate_is_near_measured_peaks(extent, model, options, measured):
    assert 0.7 * measured < need_mib(extent, model, **options) < 1.15 * measured


def test_more_voxels_and_thoroughness_need_more_and_air_needs_none():
    assert need_mib(96) > 2 * need_mib(64) and need_mib(64, refine="best") > need_mib(64) > need_mib(64, refine="fast")
    assert need_mib(64, "linear", affine="rigid") < 0.1 * need_mib(64)
    assert need_mib(96, share=0.2) < 0.6 * need_mib(96) <= 0.6 * 1.01 * need_mib(96, exactly=False)


@pytest.fixture
def free(monkeypatch):
    """Let so many bytes be free."""
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda: size)


def test_what_does_not_fit_is_told_before_the_work(free):
    image = a_ball(48)
    seen: list[str] = []
    free(20 * MIB)
    words = r"volumes of 48x48x48 and 48x48x48 voxels with optimise takes about 0.03\d* GiB of memory, and 0.02 GiB"
    with pytest.raises(MemoryShortError, match=words):
        register(RegistrationRequest(image, image), lambda _share, text: seen.append(text))
    assert not any("Aligning" in text for text in seen)
    free(None)
    options = RegistrationOptions(affine="none", refine="fast")
    assert register_pair(image, image, options=options).moved.array.shape == (48, 48, 48)


def test_half_the_resolution_is_tried_where_that_is_allowed(free):
    image = a_ball(48)
    free(20 * MIB)
    options = RegistrationOptions(affine="none", refine="fast", device="cpu")
    result = register(RegistrationRequest(image, image, options=options, allow_fallback=True))
    assert any("registered at half their resolution" in text for text in result.report.warnings)


def test_networks_on_other_devices_need_little_here():
    image = a_ball(64)
    request = RegistrationRequest(image, image, "hippocampus-T1", RegistrationOptions(device="cpu"))
    here = load_predictor(request, lambda *_: None)
    assert memory_need(image, image, replace(here, device="cuda:0")) < memory_need(image, image, here)
