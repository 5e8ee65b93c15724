"""Outliers are found without a copy of the volume, in any layout of the memory and any type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from VoxelMorphLib.core.filters import robust_range
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.intensities import CLEARLY, bounds, without_outliers

SHAPE = (70, 66, 64)


def a_volume(dtype: str, order: str, outlier: float) -> Image:
    values = np.random.default_rng(1).normal(300, 40, SHAPE).clip(0, 600)
    values[1, 2, 3] = outlier
    return Image(np.asarray(values, dtype, order=order), Geometry(SHAPE, np.eye(4)))


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("outlier", [310, 30_000])
def test_ends_are_those_of_the_whole_range(dtype, order, outlier):
    image = a_volume(dtype, order, outlier)
    whole = torch.from_numpy(np.ascontiguousarray(image.array, np.float32).reshape(1, -1))
    for tolerated in (0.25, 1.0):
        assert bounds(image, tolerated) == tuple(float(end) for end in robust_range(whole, tolerated))


def test_an_image_without_outliers_is_not_copied():
    image = a_volume("int16", "F", 310)
    assert without_outliers(image, CLEARLY) is image
    assert without_outliers(a_volume("int16", "F", 30_000), CLEARLY).array.max() < 1000


def a_scan(padding: float, air: float = -1000.0) -> np.ndarray:
    """Air, and a body in it, inside a circle; `padding` outside."""
    values = np.random.default_rng(2).normal(air, 20, SHAPE)
    values[20:50, 15:50] = np.random.default_rng(3).normal(60, 40, SHAPE)[20:50, 15:50]
    i, j = np.ogrid[: SHAPE[0], : SHAPE[1]]
    values[np.hypot(i - 34.5, j - 32.5) > 32] = padding
    return values


@pytest.mark.parametrize("padding", [-2000.0, -3024.0, -32768.0])
def test_what_pads_a_ct_is_air(padding):
    image = Image(a_scan(padding).astype(np.int16), Geometry(SHAPE, np.eye(4)))
    assert bounds(image)[0] == -1024
    assert without_outliers(image).array.min() == -1024


@pytest.mark.parametrize("kind", ["no air", "phase", "no padding"])
def test_other_scans_with_low_values_keep_their_ends(kind):
    values = {
        "no air": lambda: a_scan(-3000.0, air=500.0),
        "phase": lambda: np.random.default_rng(4).uniform(-4096, 4096, SHAPE),
        "no padding": lambda: a_scan(-1000.0),
    }[kind]()
    image = Image(values, Geometry(SHAPE, np.eye(4)))
    whole = torch.from_numpy(values.astype(np.float32).reshape(1, -1))
    assert bounds(image) == tuple(float(end) for end in robust_range(whole, CLEARLY))
