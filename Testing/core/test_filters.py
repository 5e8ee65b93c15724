"""Filters: Gaussian smoothing and scaling of intensities; sums over boxes are tested with local correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.filters import block_mean, gaussian, gaussian_kernel, min_max, robust_range

SHAPES = [(15,), (11, 12), (9, 10, 8)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d", "3d"])


def an_image(shape) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))


@every_shape
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("border", "nearest")])
def test_it_agrees_with_scipy(shape, padding, mode):
    image = an_image(shape)
    expected = gaussian_filter(image[1, 2].numpy(), 1.3, mode=mode, truncate=4 / 1.3)
    np.testing.assert_allclose(gaussian(image, 1.3, padding)[1, 2].numpy(), expected, atol=2e-6)


def test_a_constant_stays_constant_with_its_border_repeated():
    image = torch.full((1, 1, 6, 7), 4.0)
    torch.testing.assert_close(gaussian(image, 2.0, "border"), image)
    assert gaussian(image, 2.0)[0, 0, 0, 0] < 2


def test_every_axis_has_its_own_sigma():
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 1
    smooth = gaussian(point, (0, 2.0))[0, 0]
    torch.testing.assert_close(smooth[10], torch.nn.functional.pad(gaussian_kernel(2.0), (4, 4)))
    assert smooth[9].abs().max() == 0


def test_the_kernel_is_normalised_and_three_sigma_wide():
    kernel = gaussian_kernel(1.5)
    assert len(kernel) == 2 * round(4.5) + 1 and kernel.sum() == pytest.approx(1)


def test_no_sigma_is_no_change_and_the_image_stays():
    image = an_image((11, 12))
    before = image.clone()
    assert torch.equal(gaussian(image, 0), image)
    gaussian(image, 1.0)
    assert torch.equal(image, before)


def test_gradients_agree_with_finite_differences():
    image = an_image((4, 5))[:1, :1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda i: gaussian(i, 1.0, "border"), (image,))


@pytest.mark.parametrize(("sigma", "padding"), [(-1, "zeros"), ((1, 1, 1), "zeros"), (1, "mirror")])
def test_impossible_settings_are_refused(sigma, padding):
    with pytest.raises(ConfigError, match=r"Cannot smooth 2 axes by sigma .*zeros or border"):
        gaussian(an_image((11, 12)), sigma, padding)


@pytest.mark.parametrize("size", [(2, 2, 2), (1, 3, 2), (4, 1, 5)])
def test_means_of_blocks_are_those_of_pooling(size):
    image = torch.rand(2, 3, 9, 12, 11, generator=torch.Generator().manual_seed(0))
    kept = image.clone()
    torch.testing.assert_close(block_mean(image, size), torch.nn.functional.avg_pool3d(image, size))
    assert torch.equal(image, kept)


def test_blocks_of_one_voxel_are_the_image_itself():
    image = torch.rand(1, 1, 4, 5)
    assert block_mean(image, (1, 1)) is image


def test_the_extremes_become_zero_and_one():
    tensor = torch.tensor([[[-2.0, 0.0, 6.0]], [[1.0, 2.0, 3.0]]])
    assert min_max(tensor).tolist() == [[[0.0, 0.25, 1.0]], [[0.375, 0.5, 0.625]]]
    assert min_max(tensor, dims=[2]).tolist() == [[[0.0, 0.25, 1.0]], [[0.0, 0.5, 1.0]]]


def test_a_constant_becomes_zero_and_the_input_stays():
    tensor = torch.full((1, 1, 4), 7, dtype=torch.int16)
    assert min_max(tensor).tolist() == [[[0.0] * 4]]
    assert tensor.unique().tolist() == [7]


def test_ranges_leave_out_hot_voxels_and_padding_but_no_usual_intensities() -> None:
    usual = torch.linspace(-1000, 1500, 5000)
    hot, padded = usual.clone(), torch.cat([torch.full((2000,), -32768.0), usual])
    hot[7] = 1e7
    for values, tolerated in ((hot, 1.0), (hot, 0.25), (padded, 1.0), (padded, 0.25)):
        low, high = robust_range(values[None], tolerated)
        assert -1650 < float(low) <= -1000 and 1500 <= float(high) < 2150
    for values in (usual, torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.zeros(9), torch.cat([torch.zeros(9000), usual])):
        low, high = robust_range(values[None])
        assert (float(low), float(high)) == (float(values.min()), float(values.max()))


def test_ranges_are_those_of_each_row() -> None:
    rows = torch.stack([torch.linspace(0, 1, 1000), torch.linspace(0, 1000, 1000)])
    rows[0, 3] = 500
    low, high = robust_range(rows, 1.0)
    assert float(high[0]) < 1.3 and float(high[1]) == 1000
    assert low.tolist() == [0, 0]
