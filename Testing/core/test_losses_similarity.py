"""Image similarity beside local correlation: extremes, invariances, gradients, masks and precision."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.filters import gaussian
from VoxelMorphLib.core.losses import mutual_information as mi
from VoxelMorphLib.core.losses.by_name import SIMILARITIES, make_loss
from VoxelMorphLib.core.losses.intensity_difference import MSE, mse_loss, tukey_loss
from VoxelMorphLib.core.losses.mind import MIND, mind_descriptor, mind_loss, mind_of_blocks
from VoxelMorphLib.core.losses.mutual_information import MutualInformation, mutual_information_loss
from VoxelMorphLib.core.losses.reduction import reduce_map

NAMES = sorted(SIMILARITIES)
NEIGHBOURS = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
SHAPE = (10, 12, 11)


def an_image(seed=0, shape=SHAPE, batch=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, *shape, generator=generator, dtype=dtype)


def a_half_mask(shape=SHAPE):
    mask = torch.zeros(1, 1, *shape)
    mask[..., : shape[-1] // 2] = 1
    return mask


@pytest.mark.parametrize("name", NAMES)
def test_identical_images_are_the_most_similar(name):
    loss = make_loss(name)
    fixed, other = an_image(0), an_image(1)
    perturbed = fixed + 0.2 * (other - fixed)
    assert loss(fixed, fixed) < loss(fixed, perturbed) < loss(fixed, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_mean_is_the_mean_of_its_items(name):
    loss = make_loss(name)
    fixed, moved = an_image(0, batch=3), an_image(1, batch=3)
    singles = torch.stack([loss(fixed[i : i + 1], moved[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(loss(fixed, moved), singles.mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.0, 1.0, -300.0])
def test_constant_images_give_finite_values_and_gradients(name, level):
    fixed = torch.full((1, 1, *SHAPE), level)
    moved = fixed.clone().requires_grad_()
    loss = make_loss(name)(fixed, moved)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(moved.grad).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("mind", "mi")])
@pytest.mark.parametrize("shape", [(7,), (5, 6), (4, 5, 3)])
def test_the_gradient_agrees_with_finite_differences(name, shape):
    fixed, moved = an_image(0, shape, dtype=torch.float64), an_image(1, shape, dtype=torch.float64)
    assert torch.autograd.gradcheck(make_loss(name), (fixed.requires_grad_(), moved.requires_grad_()))


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 3)])
def test_the_gradient_of_mind_agrees_with_finite_differences(shape):
    """Away from its typical variance, which is a constant of the image and not differentiated."""
    moved = an_image(1, shape, 1, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: mind_loss(an_image(0, shape, 1, torch.float64), image), (moved,))


@pytest.mark.parametrize("options", [{}, {"normalised": True}, {"bins": 5, "bin_alpha": 30.0}])
def test_the_gradient_of_mutual_information_agrees_with_finite_differences(options, monkeypatch):
    """The darkest and the brightest voxel set the range and stay fixed."""
    monkeypatch.setattr(mi, "CHUNK", 7)
    fixed, inner = an_image(0, (5, 6), dtype=torch.float64), an_image(1, (5, 4), dtype=torch.float64)
    loss = make_loss("mi", **options)
    ends = torch.tensor([-0.1, 1.1], dtype=torch.float64).expand(2, 1, 5, 2)
    assert torch.autograd.gradcheck(lambda m: loss(fixed, torch.cat([m, ends], -1)), (inner.requires_grad_(),))


@pytest.mark.parametrize("name", NAMES)
def test_voxels_outside_the_mask_do_not_count(name):
    options = {"radius": 0, "dilation": 1} if name == "mind" else {}
    loss = make_loss(name, **options)
    fixed, moved, mask = an_image(0), an_image(1), a_half_mask()
    # MIND looks one voxel beyond the mask
    changed = torch.where(torch.roll(mask, 1, -1).maximum(mask) > 0, moved, 1 - moved).requires_grad_()
    if name == "mi":  # the range is that of the whole image
        fixed[..., 0, 0], changed.data[..., 0, 0] = 0, 0
        fixed[..., 1, 0], changed.data[..., 1, 0] = 1, 1
        moved = torch.where(torch.roll(mask, 1, -1).maximum(mask) > 0, changed.detach(), moved)
    value = loss(fixed, changed, mask=mask)
    torch.testing.assert_close(value, loss(fixed, moved, mask=mask))
    (gradient,) = torch.autograd.grad(value, changed)
    assert gradient[..., SHAPE[-1] // 2 + 1 :].abs().max() == 0
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_gives_zero(name):
    value = make_loss(name)(an_image(0), an_image(1), mask=torch.zeros(1, 1, *SHAPE))
    assert abs(value) < 1e-6


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ncc"])
def test_a_mask_of_ones_changes_nothing(name):
    """Local correlation is the exception: without a mask its windows at the border hold zeros."""
    fixed, moved, loss = an_image(0), an_image(1), make_loss(name)
    torch.testing.assert_close(loss(fixed, moved, mask=torch.ones(1, 1, *SHAPE)), loss(fixed, moved))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_and_half_precision_give_float32(name):
    loss, fixed, moved = make_loss(name), an_image(0), an_image(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(fixed, moved), loss(fixed, moved.clone()))
        assert loss(fixed, moved).dtype == torch.float32
    torch.testing.assert_close(loss(fixed.bfloat16(), moved.bfloat16()), loss(fixed, moved), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_must_agree(name):
    with pytest.raises(GeometryError, match="one shape"):
        make_loss(name)(an_image(0), an_image(0, (10, 12, 10)))


def test_the_mean_squared_difference_counts_in_units_of_the_noise():
    zeros = torch.zeros(1, 1, 4, 4)
    assert mse_loss(zeros, zeros + 0.5, image_sigma=0.1).item() == pytest.approx(25)
    assert MSE(0.1)(zeros, zeros + 0.5).item() == pytest.approx(25)


def test_tukey_is_half_the_square_times_three_near_zero_and_flat_beyond_its_scale():
    zeros = torch.zeros(1, 1, 4, 4)
    assert tukey_loss(zeros, zeros + 1e-2).item() == pytest.approx(1.5e-4, rel=1e-3)
    far = (zeros + 0.7).requires_grad_()
    assert tukey_loss(zeros, far).item() == pytest.approx(0.125)
    assert torch.autograd.grad(tukey_loss(zeros, far), far)[0].abs().max() == 0


@pytest.mark.parametrize("normalised", [False, True])
def test_mutual_information_ignores_inversion_and_scale(normalised):
    fixed, moved = an_image(0), an_image(0) + 0.2 * an_image(1)
    loss = MutualInformation(normalised=normalised)
    expected = loss(fixed, moved)
    torch.testing.assert_close(loss(fixed, 1 - moved), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(loss(fixed, 500 * moved - 1000), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(loss(moved, fixed), expected, atol=1e-5, rtol=1e-5)


def test_mutual_information_is_nearly_zero_for_unrelated_images_and_large_for_related_ones():
    fixed, other = an_image(0, (24, 24, 24), 1), an_image(1, (24, 24, 24), 1)
    assert abs(mutual_information_loss(fixed, other)) < 0.02
    assert mutual_information_loss(fixed, (fixed * 2 - 1) ** 2) < -0.8
    assert mutual_information_loss(fixed, fixed) < -1.6


def test_a_pair_has_its_own_range_whatever_else_is_in_the_batch():
    fixed, moved = an_image(0, batch=1), an_image(1, batch=1)
    bright = torch.cat([moved, 100 * moved])
    items = mutual_information_loss(fixed.expand(2, *fixed.shape[1:]), bright, reduction="item")
    torch.testing.assert_close(items[0], items[1], atol=1e-5, rtol=1e-5)


def test_mind_ignores_inversion_contrast_and_brightness():
    image = an_image()
    descriptor = mind_descriptor(image)
    assert descriptor.shape == (2, 12, *SHAPE)
    assert mind_descriptor(an_image(0, (9, 8))).shape == (2, 4, 9, 8)
    torch.testing.assert_close(mind_descriptor(5 - 3 * image), descriptor, atol=1e-4, rtol=1e-4)
    assert descriptor.min() >= 0
    assert torch.equal(descriptor.amax(1), torch.ones_like(image[:, 0]))


def test_mind_is_lowest_where_images_of_two_modalities_are_aligned():
    fixed = gaussian(an_image(0, (24, 24, 24), 1), 2.0)
    low, high = fixed.amin(), fixed.amax()
    moving = (3 * (fixed - low) / (high - low)).cos()
    values = [mind_loss(fixed, torch.roll(moving, shift, 2)) for shift in range(-3, 4)]
    assert min(values) == values[3]


def test_mind_of_blocks_compares_every_other_plane_of_them():
    image = an_image(0, (12, 16, 8), 1)
    descriptor = mind_of_blocks(image, 4, dilation=2)
    assert descriptor.shape == (1, 12, 3, 4, 2)
    torch.testing.assert_close(mind_of_blocks(5 - 3 * image, 4, dilation=2), descriptor, atol=1e-4, rtol=1e-4)
    patch = [slice(4, 8, 2), slice(8, 12), slice(0, 4)]  # of the block 1, 2, 0

    def seen(step):
        padded = torch.nn.functional.pad(image, [2] * 6, mode="replicate")[0, 0]
        moved = (slice(each.start + 2 + 2 * s, each.stop + 2 + 2 * s, each.step) for each, s in zip(patch, step))
        return padded[tuple(moved)]

    steps = [(a, b) for a, b in combinations(NEIGHBOURS, 2) if sum(x * y for x, y in zip(a, b)) == 0]
    distance = torch.stack([(seen(a) - seen(b)).square().mean() for a, b in steps])
    expected = (-(distance - distance.min()) / distance.mean()).exp()
    torch.testing.assert_close(descriptor[0, :, 1, 2, 0].sort().values, expected.sort().values)


def test_mind_refuses_lines():
    with pytest.raises(GeometryError, match="2 or 3 axes, got 1"):
        MIND()(an_image(0, (9,)), an_image(0, (9,)))


def test_reductions_are_known_by_name():
    values = torch.arange(8.0).view(2, 1, 4)
    assert reduce_map(values).item() == 3.5
    assert reduce_map(values, "item").tolist() == [1.5, 5.5]
    assert reduce_map(values, "max").tolist() == [3, 7]
    assert torch.equal(reduce_map(values, "none"), values)
    weights = torch.tensor([1.0, 0, 0, 1]).view(1, 1, 4)
    assert reduce_map(values, "item", weights).tolist() == [1.5, 5.5]
    assert reduce_map(values, "none", weights).sum() == 0 + 3 + 4 + 7
    with pytest.raises(ConfigError, match="reduction is 'sum'"):
        reduce_map(values, "sum")


def test_impossible_options_are_refused():
    for name, options, message in [
        ("ncc", {"window": 0}, "positive whole number"),
        ("ncc", {"eps": 0}, "eps is 0"),
        ("mse", {"image_sigma": 0}, "image_sigma is 0"),
        ("tukey", {"scale": -1}, "scale is -1"),
        ("mi", {"bins": 1}, "bins is 1"),
        ("mi", {"ranges": "all"}, "ranges is 'all'"),
        ("mi", {"clip": (1, 0)}, "lower intensity first"),
        ("mind", {"radius": -1}, "radius is -1"),
        ("mse", {"sigma": 1}, "MSE has no option sigma"),
        ("ssd", {}, "loss is 'ssd'; choose one of ncc, mse"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make_loss(name, **options)
    with pytest.raises(ConfigError, match="reduction is 'max'"):
        mutual_information_loss(an_image(), an_image(), reduction="max")


def test_one_hot_voxel_leaves_mutual_information_as_it_is():
    fixed, moved = (
        gaussian(torch.rand(1, 1, 16, 14, 12, generator=torch.Generator().manual_seed(3)), 1.0) for _ in "ab"
    )
    clean = float(mutual_information_loss(fixed, moved))
    hot = moved.clone()
    hot[0, 0, 3, 4, 5] = 1e4
    assert float(mutual_information_loss(fixed, hot)) == pytest.approx(clean, abs=0.1)
    assert clean < -0.3
