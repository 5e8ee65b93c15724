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
