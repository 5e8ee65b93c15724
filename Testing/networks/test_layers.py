"""The layers under the field's names: known numbers, both indexings, and one axis to three."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib import (
    AffineToDenseShift,
    ComposeTransform,
    RescaleTransform,
    ResizeTransform,
    SpatialTransformer,
    VecInt,
)
from VoxelMorphLib.core.errors import ConfigError, GeometryError


def a_ramp(*shape: int) -> torch.Tensor:
    """(1, 1, *shape), counted up along the last axis."""
    return torch.arange(float(torch.Size(shape).numel())).reshape(1, 1, *shape)


def a_shift(shape: tuple[int, ...], *voxels: float) -> torch.Tensor:
    return torch.tensor(voxels).view(1, -1, *[1] * len(shape)).expand(1, -1, *shape)


@pytest.mark.parametrize("shape", [(7,), (6, 7), (5, 6, 7)])
def test_a_shift_moves_the_image_by_its_negative_on_any_number_of_axes(shape):
    image = a_ramp(*shape)
    shift = a_shift(shape, *[0.0] * (len(shape) - 1), 2.0)
    moved = SpatialTransformer()(image, shift)
    torch.testing.assert_close(moved[..., :-2], image[..., 2:])
    torch.testing.assert_close(moved[..., -1], image[..., -1])  # the border continues
    matrix = torch.cat([torch.eye(len(shape)), shift.flatten(2)[0, :, :1]], dim=1)[None]
    torch.testing.assert_close(SpatialTransformer()(image, matrix), moved)


def test_linear_blends_and_nearest_keeps_labels():
    labels = torch.tensor([[[0, 5, 9, 2]]])
    shift = a_shift((4,), 0.25)
    torch.testing.assert_close(SpatialTransformer()(labels, shift), torch.tensor([[[1.25, 6.0, 7.25, 2.0]]]))
    found = SpatialTransformer("nearest")(labels, shift)
    assert torch.equal(found, labels) and found.dtype == labels.dtype
    assert SpatialTransformer(padding="hard", fill=-1.0)(labels, shift)[0, 0, -1] == -1


@pytest.mark.parametrize("shape", [(6, 7), (5, 6, 7)])
def test_xy_swaps_the_first_two_axes_of_a_transform(shape):
    image, steps = a_ramp(*shape), [1.0, 2.0, 3.0][: len(shape)]
    swapped = [steps[1], steps[0], *steps[2:]]
    ij, xy = SpatialTransformer(), SpatialTransformer(indexing="xy")
    torch.testing.assert_close(xy(image, a_shift(shape, *swapped)), ij(image, a_shift(shape, *steps)))
    matrix = torch.eye(len(shape) + 1)[None].clone()
    matrix[0, 0, 1], matrix[0, 0, -1] = 0.25, 1.0
    other = matrix[:, [1, 0, *range(2, len(shape) + 1)]][:, :, [1, 0, *range(2, len(shape) + 1)]]
    torch.testing.assert_close(xy(image, other), ij(image, matrix))


def test_matrices_turn_about_the_centre_or_about_voxel_0_onto_any_grid():
    image, double = a_ramp(8), torch.tensor([[[2.0, 0.0]]])
    assert SpatialTransformer()(image, double)[0, 0].tolist() == [0, 0, 0.5, 2.5, 4.5, 6.5, 7, 7]
    small = SpatialTransformer(shift_center=False, shape=(4,))(image, double)
    assert small[0, 0].tolist() == [0, 2, 4, 6]


def test_a_constant_velocity_is_its_own_displacement_inside():
    velocity = a_shift((16, 16), 1.5, -0.5)
    for layer in (VecInt(), VecInt(3), VecInt(5, "quadrature"), VecInt(7, indexing="xy")):
        torch.testing.assert_close(layer(velocity), velocity)
    assert torch.equal(VecInt(0)(velocity), velocity)


def test_rescaling_follows_the_corners_and_scales_the_voxels():
    ramp = torch.arange(4.0).view(1, 1, 4)
    torch.testing.assert_close(RescaleTransform(2)(ramp)[0, 0], 2 * torch.linspace(0, 3, 8))
    torch.testing.assert_close(ResizeTransform(0.5)(ramp), RescaleTransform(2)(ramp))
    assert ResizeTransform(2)(torch.zeros(1, 2, 9, 8)).shape == (1, 2, 4, 4)
    matrix = torch.tensor([[[1.0, 0.5, 3.0], [0.0, 1.0, -2.0]]])
    assert RescaleTransform(2)(matrix).tolist() == [[[1.0, 0.5, 6.0], [0.0, 1.0, -4.0]]]


def test_the_first_of_composed_transforms_acts_first_on_images():
    scale, shift = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[1.0, 3.0]]])
    assert ComposeTransform()(scale, shift).tolist() == [[[2.0, 6.0]]]
    dense = a_shift((16,), 1.0)
    torch.testing.assert_close(ComposeTransform()(dense, dense), 2 * dense)
    image, field = a_ramp(12, 12), torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    move = SpatialTransformer()
    together = move(image, ComposeTransform()(a_shift((12, 12), 1.0, 0.0), field))
    torch.testing.assert_close(
        together[..., 2:-2, 2:-2], move(move(image, a_shift((12, 12), 1.0, 0.0)), field)[..., 2:-2, 2:-2]
    )
    mixed = torch.rand(1, 2, 8, 8), torch.eye(3)[None, :2] + 0.1
    xy = [mixed[0].flip(1), mixed[1][:, [1, 0]][:, :, [1, 0, 2]]]
    torch.testing.assert_close(ComposeTransform(indexing="xy")(*xy).flip(1), ComposeTransform()(*mixed))


def test_matrices_become_displacements_on_a_grid():
    assert AffineToDenseShift((4,), shift_center=False)(torch.tensor([[[2.0, 1.0]]]))[0, 0].tolist() == [1, 2, 3, 4]
    assert AffineToDenseShift((5,))(torch.tensor([[[2.0, 0.0]]]))[0, 0].tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpatialTransformer("cubic"),
        lambda: SpatialTransformer(indexing="yx"),
        lambda: VecInt(0, "quadrature"),
        lambda: VecInt(method="ode"),
        lambda: RescaleTransform(0),
        lambda: ComposeTransform(interpolation="cubic"),
        lambda: AffineToDenseShift((4, 4, 4, 4)),
    ],
)
def test_impossible_layers_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_transforms_that_fit_nothing_are_refused():
    with pytest.raises(GeometryError, match="nothing to compose"):
        ComposeTransform()()
    with pytest.raises(GeometryError):
        SpatialTransformer()(a_ramp(6, 6), torch.zeros(1, 3, 6, 6))
