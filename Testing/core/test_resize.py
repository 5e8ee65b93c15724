"""Resizing: where the samples lie, physical sizes, types, refusals."""

from __future__ import annotations

import pytest
import torch
from support.voxel_grid import identity_grid
from VoxelMorphLib.core import resize as module
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.resize import resize, resize_displacement
from VoxelMorphLib.core.spatial import warp

SHAPES = [((13,), (20,)), ((7, 12), (14, 5)), ((6, 9, 5), (12, 4, 5))]
every_shape = pytest.mark.parametrize(("old", "new"), SHAPES, ids=["1d", "2d", "3d"])


def an_image(shape, seed=0) -> torch.Tensor:
    return torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(seed))


def a_ramp(n: int) -> torch.Tensor:
    return torch.arange(float(n)).view(1, 1, n)


def test_corner_alignment_samples_from_first_to_last_voxel():
    torch.testing.assert_close(resize(a_ramp(4), [8]).flatten(), torch.linspace(0, 3, 8))


def test_legacy_alignment_samples_every_half_voxel_and_clamps():
    assert resize(a_ramp(4), [8], "legacy").flatten().tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert resize(a_ramp(8), [4], "legacy").flatten().tolist() == [0, 2, 4, 6]


def test_nearest_takes_the_even_voxel_on_a_tie():
    assert resize(a_ramp(4), [7], interpolation="nearest").flatten().tolist() == [0, 0, 1, 2, 2, 2, 3]


@every_shape
def test_the_axis_by_axis_way_agrees_with_torch(old, new):
    image = expected = an_image(old)
    for axis, n in enumerate(new, start=2):
        image = module._resize_axis(image, axis, n, "corner", linear=True)
    torch.testing.assert_close(resize(expected, new), image, atol=2e-6, rtol=0)


@every_shape
@pytest.mark.parametrize("alignment", ["corner", "legacy"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_constants_stay_constant(old, new, alignment, interpolation):
    image = torch.full((1, 2, *old), 3.25)
    torch.testing.assert_close(resize(image, new, alignment, interpolation), torch.full((1, 2, *new), 3.25))


def test_the_same_shape_is_the_image_itself():
    image = an_image((6, 9, 5))
    assert resize(image, (6, 9, 5)) is image


def test_one_voxel_grows_and_an_axis_shrinks_to_one_voxel():
    assert resize(torch.full((1, 1, 1), 2.0), [3]).flatten().tolist() == [2, 2, 2]
    assert resize(a_ramp(5), [1]).flatten().tolist() == [0]
    assert resize(a_ramp(5), [1], "legacy").flatten().tolist() == [0]


def test_labels_keep_their_type():
    labels = torch.randint(0, 9, (1, 1, 6, 9), generator=torch.Generator().manual_seed(0), dtype=torch.int16)
    assert resize(labels, (11, 4), interpolation="nearest").dtype == torch.int16


def test_a_displacement_is_multiplied_per_axis():
    field = torch.ones(1, 3, 6, 9, 5)
    resized = resize_displacement(field, (12, 9, 15))
    assert resized.shape == (1, 3, 12, 9, 15)
    assert [resized[0, axis].unique().item() for axis in range(3)] == [2, 1, 3]


@pytest.mark.parametrize("shape", [(12, 12), (3, 3), (6, 6)], ids=["up", "down", "same"])
def test_a_given_multiplier_replaces_the_ratio_of_extents(shape):
    field = torch.ones(1, 2, 6, 6)
    torch.testing.assert_close(resize_displacement(field, shape, scale=5), torch.full((1, 2, *shape), 5.0))
    torch.testing.assert_close(resize_displacement(field, shape, scale=[5, 7])[0, 1], torch.full(shape, 7.0))


def test_a_resized_displacement_moves_a_resized_image_alike():
    """Corner-aligned grids have n - 1 intervals, so that ratio is the exact one."""
    ramp = identity_grid((9, 9))
    field = torch.full((1, 2, 9, 9), 1.5)
    large = resize_displacement(field, (17, 17), scale=16 / 8)
    moved = warp(resize(ramp, (17, 17)), large)
    torch.testing.assert_close(moved[..., :13, :13], resize(warp(ramp, field), (17, 17))[..., :13, :13])


def test_gradients_agree_with_finite_differences():
    image = an_image((4, 5)).double().requires_grad_()
    for alignment in ("corner", "legacy"):
        assert torch.autograd.gradcheck(lambda i, a=alignment: resize(i, (7, 3), a), (image,))


def test_inputs_are_unchanged():
    field = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    before = field.clone()
    for shape in ((12, 12), (3, 3), (6, 6)):
        resize_displacement(field, shape, scale=2).add_(1)
    assert torch.equal(field, before)


def test_half_precision_is_resized_in_float32():
    image = an_image((6, 9)).half()
    assert resize(image, (12, 4)).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: resize(torch.zeros(1, 1, 4, 4), [8]), GeometryError, r"\(1, 1, 4, 4\) to \(8,\)"),
        (lambda: resize(torch.zeros(1, 1, 4), [0]), GeometryError, r"to \(0,\)"),
        (lambda: resize(torch.zeros(1, 1, 4), [8], "centre"), ConfigError, "alignment 'centre'"),
        (lambda: resize(torch.zeros(1, 1, 4), [8], interpolation="cubic"), ConfigError, "interpolation 'cubic'"),
        (lambda: resize_displacement(torch.zeros(1, 3, 4, 4), [8, 8]), GeometryError, r"\(1, 3, 4, 4\).*2 axes"),
        (lambda: resize_displacement(torch.zeros(1, 2, 4, 4), [8, 8], scale=[2] * 3), GeometryError, "3 multipliers"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
