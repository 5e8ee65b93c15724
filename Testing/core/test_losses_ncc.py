"""Local correlation: bounds, invariances, gradients, masks and precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d, conv2d, conv3d, pad
from VoxelMorphLib.core.losses.ncc import ncc_loss, ncc_map

SHAPES = [(23,), (14, 17), (9, 11, 10)]


def an_image(shape, seed=0, batch=2, channels=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, *shape, generator=generator, dtype=dtype)


def the_formula(fixed, moved, window, eps=1e-5):
    """The clamped formula with a filter of ones."""
    kernel = torch.ones(1, fixed.shape[1], *window, dtype=fixed.dtype)
    padding = [side for extent in reversed(window) for side in ((extent - 1) // 2, extent // 2)]
    convolution = (conv1d, conv2d, conv3d)[len(window) - 1]
    sums = [convolution(pad(x, padding), kernel) for x in (fixed, moved, fixed**2, moved**2, fixed * moved)]
    size = kernel.sum()
    cross = (sums[4] - sums[0] * sums[1] / size).clamp(min=eps)
    fixed_variance = (sums[2] - sums[0] ** 2 / size).clamp(min=eps)
    moved_variance = (sums[3] - sums[1] ** 2 / size).clamp(min=eps)
    return cross**2 / (fixed_variance * moved_variance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_map_follows_the_formula(shape, channels):
    fixed, moved = an_image(shape, 1, channels=channels), an_image(shape, 2, channels=channels)
    window = (5, 3, 4)[: len(shape)]
    torch.testing.assert_close(ncc_map(fixed, moved, window), the_formula(fixed, moved, window), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{}, {"form": "signed"}, {"form": "legacy"}, {"form": "absolute"}])
@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 3, 5)])
def test_the_gradient_agrees_with_finite_differences(shape, kind):
    fixed = an_image(shape, 1, channels=2, dtype=torch.float64).requires_grad_()
    moved = (0.5 * fixed.detach() + an_image(shape, 2, channels=2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, m: ncc_map(f, m, 3, **kind), (fixed, moved), fast_mode=True)
    mask = (an_image(shape, 3, dtype=torch.float64) > 0.3).double()
    assert torch.autograd.gradcheck(lambda f, m: ncc_loss(f, m, 4, mask=mask, **kind), (fixed, moved))


def test_identical_images_reach_the_minimum():
    image = an_image((12, 13, 11))
    assert ncc_loss(image, image).item() == pytest.approx(-1, abs=1e-4)
    assert ncc_loss(image, an_image((12, 13, 11), seed=5)) > -0.5


def test_contrast_and_brightness_do_not_matter_inside_the_volume():
    fixed, moved = an_image((16, 16, 16), 1), an_image((16, 16, 16), 2)
    inside = (slice(None), slice(None), *(slice(4, -4),) * 3)
    changed = ncc_map(fixed, 3 * moved + 2)[inside]
    torch.testing.assert_close(changed, ncc_map(fixed, moved)[inside], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("form", ["legacy", "absolute"])
def test_inverted_contrast_counts_in_the_forms_that_say_so(form):
    image = an_image((14, 14, 14))
    assert ncc_loss(image, 1 - image).item() > -0.3
    assert ncc_map(image, 1 - image, form=form)[..., 7, 7, 7].min() > 0.99


@pytest.mark.parametrize("contrast", [1e-4, 1e-2, 1.0])
def test_in_the_absolute_form_nothing_beats_identical_images(contrast):
    image = contrast * an_image((12, 13, 11))
    assert ncc_map(image, image, 5, 1e-3, "absolute").sub(1).abs().max() < 1e-4
    stretched = ncc_map(image, 3 * image, 5, 1e-3, "absolute")
    assert stretched.max() <= 1 + 1e-4


def test_the_batch_mean_is_the_mean_of_its_items():
    fixed, moved = an_image((12, 10), 1, batch=3), an_image((12, 10), 2, batch=3)
    singles = [ncc_loss(fixed[i : i + 1], moved[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(ncc_loss(fixed, moved), torch.stack(singles).mean())
    torch.testing.assert_close(ncc_loss(fixed, moved, reduction="item"), torch.stack(singles))


@pytest.mark.parametrize("kind", [{}, {"form": "signed"}, {"form": "legacy"}, {"form": "absolute"}])
@pytest.mark.parametrize("level", [0.0, 1.0, 1000.0])
def test_constant_images_give_finite_values_and_gradients(level, kind):
    fixed = torch.full((1, 1, 11, 12, 10), level)
    moved = fixed.clone().requires_grad_()
    loss = ncc_loss(fixed, moved, **kind)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(moved.grad).all()


def test_noise_in_a_bright_flat_region_does_not_correlate():
    fixed, moved = (1 + 1e-5 * (an_image((24, 24, 24), seed) - 0.5) for seed in (1, 2))
    inside = ncc_map(fixed, moved)[..., 5:-5, 5:-5, 5:-5]
    torch.testing.assert_close(inside, torch.ones_like(inside), atol=1e-6, rtol=0)
    textured = an_image((24, 24, 24), 3)
    assert ncc_map(textured, moved)[..., 5:-5, 5:-5, 5:-5].abs().max() < 1e-3
    assert ncc_map(100 * fixed, 100 * moved, form="legacy")[..., 5:-5, 5:-5, 5:-5].abs().max() == 0


def test_voxels_outside_the_mask_have_no_influence():
    fixed, moved = an_image((12, 12, 12), 1), an_image((12, 12, 12), 2)
    mask = torch.zeros(1, 1, 12, 12, 12)
    mask[..., 3:9, 2:10, 4:] = 1
    other = torch.where(mask > 0, moved, 7.0).requires_grad_()
    loss = ncc_loss(fixed, other, mask=mask)
    torch.testing.assert_close(loss, ncc_loss(fixed, moved, mask=mask))
    loss.backward()
    assert other.grad[(mask == 0).expand_as(other)].abs().max() == 0
    assert other.grad.abs().max() > 0


def test_contrast_and_brightness_do_not_matter_inside_a_mask_even_at_its_border():
    fixed, moved = an_image((12, 12), 1), an_image((12, 12), 2)
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 2:9, 3:12] = 1
    torch.testing.assert_close(
        ncc_loss(fixed, 2 * moved + 1, mask=mask), ncc_loss(fixed, moved, mask=mask), atol=1e-4, rtol=1e-4
    )
