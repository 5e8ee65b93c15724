"""Sums over windows: filters of ones around all voxels or some, their adjoint, moments and precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d, conv2d, conv3d, pad
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.windows import Windows, box_sum, box_window

SHAPES = [(23,), (14, 17), (9, 11, 10)]


def an_image(shape, seed=0, dtype=torch.float64):
    return torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("extent", [1, 3, 4, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_sums_are_a_filter_of_ones_at_the_centres(shape, extent, stride):
    image, windows = an_image(shape), Windows(shape, (extent,) * len(shape), stride)
    kernel = torch.ones(1, 1, *windows.window, dtype=torch.float64)
    padding = [(extent - 1) // 2, extent // 2] * len(shape)
    everywhere = (conv1d, conv2d, conv3d)[len(shape) - 1](pad(image, padding), kernel)
    torch.testing.assert_close(windows.sums(image), windows.centres(everywhere))


@pytest.mark.parametrize(
    ("extent", "stride", "centres"),
    [(9, 2, [0, 2, 4, 6, 8]), (10, 2, [0, 2, 4, 6, 8]), (12, 3, [1, 4, 7, 10]), (2, 2, [0]), (1, 2, [0])],
)
def test_the_centres_lie_in_the_middle(extent, stride, centres):
    positions = torch.arange(extent).view(1, 1, -1)
    assert Windows((extent,), (3,), stride).centres(positions).flatten().tolist() == centres


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_spreading_is_the_adjoint_of_summing(stride):
    windows = Windows((8, 9), (4, 3), stride)
    image = an_image((8, 9), 1)
    values = torch.rand_like(windows.sums(image))
    torch.testing.assert_close((windows.sums(image) * values).sum(), (image * windows.spread(values)).sum())


def test_the_adjoint_box_sum_transposes_the_box_sum():
    a, b = an_image((8, 9), seed=1), an_image((8, 9), seed=2)
    torch.testing.assert_close((box_sum(a, (4, 3)) * b).sum(), (a * box_sum(b, (4, 3), adjoint=True)).sum())


def test_moments_are_those_of_the_voxels_that_count():
    image, windows = an_image((6, 7)), Windows((6, 7), (3, 3), 2)
    inside = torch.ones_like(image[:1])
    inside[..., :2] = 0
    mean, squares = windows.moments(image * inside, windows.sums(inside).clamp(min=1))
    values = image[0, 0, 1:4, 2:4]  # inside the window around voxel (2, 2), whose first column does not count
    assert mean[0, 0, 1, 1] == pytest.approx(float(values.mean()))
    assert squares[0, 0, 1, 1] == pytest.approx(float(values.var(correction=0)) * 6)


def test_a_window_is_one_positive_number_per_axis():
    assert box_window(5, 3) == (5, 5, 5)
    assert box_window((3, 1), 2) == (3, 1)
    for wrong in (0, (3, 3), (3, 3, -1), (3, 3, 2.5)):
        with pytest.raises(ConfigError, match="positive whole number"):
            box_window(wrong, 3)


@pytest.mark.parametrize("stride", [1, 2])
def test_products_of_rounded_numbers_are_not_used(stride, monkeypatch):
    """An application may allow them for its networks (TF32, bfloat16)."""
    image, windows = an_image((11, 12, 13), dtype=torch.float32), Windows((11, 12, 13), (9, 4, 7), stride)
    sums = windows.sums(image)
    spread = windows.spread(sums)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    monkeypatch.setattr(torch.Tensor, "__matmul__", None)
    torch.testing.assert_close(windows.sums(image), sums)
    torch.testing.assert_close(windows.spread(sums), spread)


def test_precision_set_by_torchs_newer_switches_is_taken_for_low(monkeypatch):
    def refuse():
        raise RuntimeError("mixed use of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", refuse)
    monkeypatch.setattr(torch.Tensor, "__matmul__", None)
    assert box_sum(torch.ones(1, 1, 9), (3,)).tolist() == [[[2, 3, 3, 3, 3, 3, 3, 3, 2]]]
