"""The distributions of random fields, blurs, fields of view and slices."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.filters import gaussian
from VoxelMorphLib.core.resize import resize
from VoxelMorphLib.synth.noise import (
    FWHM,
    blur,
    blurred_to_size,
    coarse_noise,
    crop_mask,
    perlin_noise,
    smooth_noise,
    sum_of_grids,
    thick_slices,
)
from VoxelMorphLib.synth.random_parts import Part, Sample

CPU = torch.device("cpu")


def part(seed: int = 0) -> Part:
    return Part(seed, CPU)


def test_parts_of_a_sample_are_independent_and_repeatable():
    sample = Sample(torch.Generator().manual_seed(3), CPU)
    again = Sample(torch.Generator().manual_seed(3), CPU)
    assert torch.equal(sample.part("warp").noise(5), again.part("warp").noise(5))
    assert not torch.equal(sample.part("warp").noise(5), sample.part("blur").noise(5))
    fixed = [Sample(torch.Generator().manual_seed(s), CPU, {"warp": 7}) for s in (1, 2)]
    assert torch.equal(fixed[0].part("warp").noise(5), fixed[1].part("warp").noise(5))
    assert not torch.equal(fixed[0].part("bias").noise(5), fixed[1].part("bias").noise(5))


@pytest.mark.parametrize("shape", [(11,), (9, 14), (12, 10, 15)])
def test_grids_are_summed_as_if_each_was_resized(shape):
    grids = coarse_noise(part(), 3, shape, (2, 5, 40), 1.0)
    torch.testing.assert_close(sum_of_grids(grids, shape), sum(resize(grid, shape) for grid in grids))


def test_the_size_of_perlin_noise_is_drawn_up_to_the_largest():
    stds = torch.tensor([perlin_noise(part(i), 1, (200, 20), (1,), 2.0).std() for i in range(200)])
    assert 0 <= stds.min() < 0.1 and 1.8 < stds.max() < 2.1
    assert abs(stds.mean() - 1.0) < 0.12
    fixed = perlin_noise(part(), 1, (200, 20), (1,), 2.0, modulate=False)
    assert abs(fixed.std() - 2.0) < 0.1


def test_the_scale_of_perlin_noise_is_the_distance_between_its_points():
    field = perlin_noise(part(), 1, (33, 33), (16,), 1.0, modulate=False)[0, 0]
    curvature = field[:, 2:] - 2 * field[:, 1:-1] + field[:, :-2]
    bent = (curvature.abs() > 1e-5).any(0).sum()
    assert bent <= 4  # three points on 33 voxels: linear but at the middle one


@pytest.mark.parametrize("reduce", ["std", "max"])
def test_smooth_noise_has_the_drawn_size(reduce):
    fields = [smooth_noise(part(i), 2, (24, 24), 4, 8, 0.5, 2.0, reduce=reduce).flatten(2) for i in range(100)]
    sizes = torch.stack([field.std(2) if reduce == "std" else field.amax(2) for field in fields])
    assert sizes.min() > 0.499 and sizes.max() < 2.001
    assert abs(sizes.mean() - 1.25) < 0.12
    assert (sizes[:, 0, 0] - sizes[:, 0, 1]).abs().min() > 0  # channels have sizes of their own


def test_wider_noise_is_smoother():
    def roughness(width: float) -> float:
        field = smooth_noise(part(), 1, (48, 48), width, width, 1.0, 1.0)
        return float(field.diff(dim=3).std())

    narrow, wide = roughness(4), roughness(16)
    assert wide < 0.4 * narrow
    expected = FWHM / (4 * 2**0.5)  # of a Gaussian field: std of the derivative is 1 / (sqrt(2) sigma)
    assert abs(narrow - expected) < 0.25 * expected


def test_isotropic_noise_is_as_smooth_along_all_axes():
    fields = [smooth_noise(part(i), 1, (64, 64), 3, 20, 1, 1, isotropic=True) for i in range(20)]
    ratios = torch.tensor([float(f.diff(dim=2).std() / f.diff(dim=3).std()) for f in fields])
    assert ratios.log().abs().max() < 0.7
    free = [smooth_noise(part(i), 1, (64, 64), 3, 20, 1, 1) for i in range(20)]
    assert max(abs(float((f.diff(dim=2).std() / f.diff(dim=3).std()).log())) for f in free) > 0.7


def test_blur_is_the_convolution_of_each_item():
    image = torch.rand(2, 3, 9, 11, 10)
    sigma = torch.tensor([[1.0, 0.5, 1.5], [0.0, 1.2, 0.7]])
    blurred = blur(image, sigma, 0.001)
    torch.testing.assert_close(blurred, image)  # kernels that end at once
    blurred = blur(image, sigma[:1].expand(2, 3))
    reach_of_largest = gaussian(image, [1.5, 1.5, 1.5])
    assert blurred.shape == reach_of_largest.shape
    one = blur(image[:1], torch.full((1, 3), 1.3))
    torch.testing.assert_close(one, gaussian(image[:1], 1.3), rtol=1e-4, atol=1e-5)
    both = blur(image, sigma)
    torch.testing.assert_close(
        both[1:], blur(image[1:], sigma[1:], 1.5).expand(1, -1, -1, -1, -1), rtol=1e-4, atol=0.02
    )


def test_blurred_noise_keeps_its_size():
    field = torch.randn(1, 2, 40, 40)
    smooth = blurred_to_size(field, part())
    torch.testing.assert_close(smooth.flatten(2).std(2), field.flatten(2).std(2))
    assert smooth.diff(dim=3).std() < 0.3 * field.diff(dim=3).std()


def test_the_field_of_view_is_cropped_at_one_end_of_one_axis():
    masks = [crop_mask(part(i), (20, 20), 0.1, 0.4) for i in range(200)]
    lost = torch.tensor([1 - float(mask.mean()) for mask in masks])
    assert lost.min() >= 0.1 - 1e-6 and lost.max() <= 0.4 + 1e-6 and abs(lost.mean() - 0.25) < 0.03
    starts = sum(bool(mask[0, 0, 0, :].sum() == 0 or mask[0, 0, :, 0].sum() == 0) for mask in masks)
    assert 70 < starts < 130
    assert all(mask.amin(2).sum() in (0, *range(1, 21)) for mask in masks)
    kept = sum(bool(crop_mask(part(i), (20, 20), 0.2, 0.4, prob=0.25).all()) for i in range(400))
    assert 260 < kept < 340
    both = crop_mask(part(1), (40, 40), 0.4, 0.4, bilateral=True, axes=(1,))[0, 0, 0]
    assert both[0] == 0 and both[-1] == 0 and abs(float(both.mean()) - 0.6) < 0.06


def test_slices_become_thick_along_one_axis():
    image = torch.rand(1, 1, 30, 30)
    thick = thick_slices(image, part(2), 6, 6, axes=(1,))
    assert thick.shape == image.shape
    assert thick.diff(n=2, dim=3).abs().mean() < 0.3 * image.diff(n=2, dim=3).abs().mean()
    assert torch.equal(thick_slices(image, part(), prob=0), image)
    assert torch.equal(thick_slices(image, part(), 1, 1), image)


@pytest.mark.parametrize(("low", "high", "reduce"), [(0, 1, "std"), (2, 1, "std"), (1, 2, "mean")])
def test_impossible_sizes_are_refused(low, high, reduce):
    with pytest.raises(ConfigError, match="Give sizes above 0"):
        smooth_noise(part(), 1, (8, 8), 2, 4, low, high, reduce=reduce)


def test_scales_below_a_voxel_are_refused():
    with pytest.raises(ConfigError, match="at least 1 voxel, got \\[0\\]"):
        perlin_noise(part(), 1, (8, 8), [0], 1.0)


def test_fields_of_one_sign_are_scaled_by_their_other_end():
    fields = [smooth_noise(part(i), 1, (8, 8), 64, 64, 0.5, 0.5, reduce="max") for i in range(100)]
    assert all(abs(float(field.max()) - 0.5) < 1e-5 for field in fields)
    assert min(float(field.min()) for field in fields) > -5.001
