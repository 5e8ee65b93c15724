"""Sampling: identity, known shifts, what lies outside, ties, points, barycentres, gradients."""

from __future__ import annotations

import pytest
import torch
from support.cuda_device import needs_cuda
from support.voxel_grid import identity_grid
from VoxelMorphLib.core import spatial
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.spatial import barycentre, sample_at, values_at, warp, warp_points, warp_surface

SHAPES = [(13,), (7, 12), (6, 9, 5)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["1d", "2d", "3d"])
both_paddings = pytest.mark.parametrize("padding", ["border", "zeros"])


def an_image(shape, channels=2, batch=2, seed=0) -> torch.Tensor:
    return torch.rand(batch, channels, *shape, generator=torch.Generator().manual_seed(seed))


def a_field(shape, scale=1.5, batch=2, seed=1) -> torch.Tensor:
    return scale * torch.randn(batch, len(shape), *shape, generator=torch.Generator().manual_seed(seed))


def shifted(shape, voxels) -> torch.Tensor:
    """A constant displacement of `voxels` along the first axis."""
    field = torch.zeros(1, len(shape), *shape)
    field[:, 0] = voxels
    return field


@every_shape
def test_identity_grid_counts_voxels_along_its_own_axis(shape):
    grid = identity_grid(shape)
    assert grid.shape == (1, len(shape), *shape)
    for axis, n in enumerate(shape):
        assert torch.equal(
            grid[0, axis].movedim(axis, -1)[(0,) * (len(shape) - 1)], torch.arange(n, dtype=torch.float32)
        )


@every_shape
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("padding", ["border", "zeros", "hard"])
def test_zero_displacement_keeps_the_image(shape, interpolation, padding):
    image = an_image(shape)
    moved = warp(image, torch.zeros(2, len(shape), *shape), interpolation, padding, fill=-7)
    torch.testing.assert_close(moved, image, atol=3e-6, rtol=0)


@every_shape
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_a_whole_shift_moves_voxels(shape, interpolation):
    image = an_image(shape)
    moved = warp(image, shifted(shape, 2), interpolation)
    torch.testing.assert_close(moved[:, :, :-2], image[:, :, 2:], atol=3e-6, rtol=0)
    torch.testing.assert_close(moved[:, :, -1], image[:, :, -1], atol=3e-6, rtol=0)


def test_every_component_moves_its_own_axis():
    image = an_image((6, 7, 8))
    for axis in range(3):
        field = torch.zeros(1, 3, 6, 7, 8)
        field[:, axis] = 1
        expected = image.roll(-1, dims=axis + 2).narrow(axis + 2, 0, 5)
        torch.testing.assert_close(warp(image, field).narrow(axis + 2, 0, 5), expected, atol=3e-6, rtol=0)


def test_half_a_voxel_averages_neighbours():
    image = torch.tensor([0.0, 4.0, 2.0]).view(1, 1, 3)
    assert warp(image, shifted((3,), 0.5)).flatten().tolist() == [2.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("border", [1.0, 1.0, 1.5, 3.0, 3.0, 3.0]), ("zeros", [0.0, 0.5, 1.5, 3.0, 1.5, 0.0])],
)
def test_outside_the_border_repeats_or_zero_blends_over_one_voxel(padding, expected):
    image = torch.tensor([1.0, 2.0, 3.0])
    places = torch.tensor([-1.0, -0.5, 0.5, 2.0, 2.5, 3.0])
    line = sample_at(image.view(1, 1, 3), places.view(1, 1, 6), padding=padding)
    plane = sample_at(
        image.view(1, 1, 3, 1).expand(1, 1, 3, 4),
        torch.stack([places, torch.ones(6)]).view(1, 2, 6),
        padding=padding,
    )
    torch.testing.assert_close(line.flatten(), torch.tensor(expected))
    torch.testing.assert_close(plane.flatten(), torch.tensor(expected))


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_hard_fills_whatever_lies_beyond_the_outermost_voxel_centres(interpolation):
    image = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3)
    places = torch.tensor([-1e-3, 0.0, 1.0, 2.0, 2.001]).view(1, 1, 5)
    filled = sample_at(image, places, interpolation, padding="hard", fill=-1.5)
    assert filled.flatten().tolist() == [-1.5, 1.0, 2.0, 3.0, -1.5]


def test_nearest_rounds_half_to_the_even_voxel():
    image = torch.arange(6.0).view(1, 1, 6)
    places = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5, 5.5]).view(1, 1, 6)
    assert sample_at(image, places, "nearest").flatten().tolist() == [0, 2, 2, 4, 4, 5]
    assert sample_at(image, places, "nearest", "zeros").flatten().tolist() == [0, 2, 2, 4, 4, 0]


def test_nearest_keeps_large_labels_and_their_type():
    labels = torch.randint(0, 2**31, (1, 1, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    moved = warp(labels, a_field((5, 6, 7), batch=1), "nearest")
    assert moved.dtype == labels.dtype
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())


@pytest.mark.parametrize("shape", SHAPES[1:], ids=["2d", "3d"])
@both_paddings
def test_grid_sample_agrees_with_the_weighted_corners(shape, padding):
    image, locations = an_image(shape), identity_grid(shape) + a_field(shape)
    gathered = spatial._linear_by_gather(image, list(locations.unbind(1)), padding)
    torch.testing.assert_close(sample_at(image, locations, padding=padding), gathered, atol=2e-6, rtol=0)


@both_paddings
def test_a_plane_of_one_voxel_behaves_like_any_other(padding):
    image = an_image((6, 1, 5), batch=1)
    field = a_field((6, 1, 5), batch=1)
    locations = list((identity_grid((6, 1, 5)) + field).unbind(1))
    expected = spatial._linear_by_gather(image, locations, padding)
    torch.testing.assert_close(warp(image, field, padding=padding), expected, atol=2e-6, rtol=0)


def test_the_result_has_the_grid_of_the_field():
    image = an_image((6, 9, 5))
    assert warp(image, a_field((3, 4, 8))).shape == (2, 2, 3, 4, 8)
    assert sample_at(image, torch.zeros(2, 3, 17)).shape == (2, 2, 17)


def test_one_field_serves_all_images_and_one_image_all_fields():
    image, field = an_image((7, 12)), a_field((7, 12))
    torch.testing.assert_close(warp(image, field[:1])[1:], warp(image[1:], field[:1]))
    torch.testing.assert_close(warp(image[:1], field)[1:], warp(image[:1], field[1:]))


def test_a_displacement_per_channel_moves_each_channel_by_its_own():
    image = an_image((6, 9, 5))
    fields = torch.stack([a_field((6, 9, 5), seed=3), a_field((6, 9, 5), seed=4)], dim=1)
    moved = warp(image, fields)
    for channel in range(2):
        torch.testing.assert_close(
            moved[:, channel : channel + 1], warp(image[:, channel : channel + 1], fields[:, channel])
        )


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@every_shape
def test_working_slab_by_slab_changes_nothing(monkeypatch, shape, interpolation):
    image, field = an_image(shape), a_field(shape)
    whole = warp(image, field, interpolation, "hard")
    monkeypatch.setattr(spatial, "SLAB", 2 * 2 * field[0, 0, 0].numel())
    assert spatial._planes(image, field) == 2
    assert torch.equal(warp(image, field, interpolation, "hard"), whole)
    assert spatial._planes(image, field.requires_grad_()) == shape[0]


def test_cutting_a_single_item_for_the_threads_changes_nothing(monkeypatch):
    image, field = an_image((6, 9, 5), batch=1, channels=3), a_field((6, 9, 5), batch=1)
    whole = warp(image, field)
    monkeypatch.setattr(spatial, "SMALL", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert spatial._parts(image, 6 * 9 * 5) == 6
    assert torch.equal(warp(image, field), whole)


@every_shape
@both_paddings
def test_gradients_agree_with_finite_differences(shape, padding):
    shape = tuple(min(n, 4) for n in shape)
    image = an_image(shape, channels=1, batch=1).double().requires_grad_()
    field = a_field(shape, scale=0.8, batch=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: warp(i, f, padding=padding), (image, field), eps=1e-7, atol=1e-5)


def test_inputs_are_unchanged_and_the_result_is_new():
    image, field = an_image((6, 9, 5)), torch.zeros(2, 3, 6, 9, 5)
    before = image.clone(), field.clone()
    moved = warp(image, field, padding="hard")
    moved += 1
    assert torch.equal(image, before[0]) and torch.equal(field, before[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16, torch.uint8])
def test_linear_results_are_float32(dtype):
    image = (an_image((6, 9)) * 100).to(dtype)
    field = a_field((6, 9))
    moved = warp(image, field)
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, warp(image.float(), field))


def test_autocast_does_not_reach_the_warp():
    image, field = an_image((6, 9, 5)), a_field((6, 9, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved = warp(image, field)
    assert moved.dtype == torch.float32
    assert torch.equal(moved, warp(image, field))


@needs_cuda
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("padding", ["border", "zeros", "hard"])
@every_shape
def test_the_gpu_agrees_with_the_processor(shape, interpolation, padding):
    image, field = an_image(shape), a_field(shape)
    moved = warp(image.cuda(), field.cuda(), interpolation, padding)
    torch.testing.assert_close(moved.cpu(), warp(image, field, interpolation, padding), atol=1e-5, rtol=0)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_impossible_places_do_not_read_outside_the_image(interpolation):
    image = an_image((6, 9, 5), batch=1)
    places = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30]).view(1, 1, 4).expand(1, 3, 4)
    sampled = sample_at(image, places, interpolation)
    torch.testing.assert_close(sampled[..., 3], image[:, :, -1, -1, -1], atol=1e-6, rtol=0)


def test_points_follow_the_displacement_at_their_place():
    shape = (8, 9, 10)
    field = identity_grid(shape) * 0.1
    points = torch.tensor([[[1.5, 2.0, 3.25], [7.0, 8.0, 9.0]]])
    torch.testing.assert_close(warp_points(points, field), points * 1.1)


def test_points_beyond_the_grid_take_the_displacement_of_its_border():
    field = shifted((4, 4), 3.0)
    assert warp_points(torch.tensor([[[-2.0, 9.0]]]), field).tolist() == [[[1.0, 9.0]]]


def test_a_point_and_the_image_under_it_move_alike():
    shape = (12, 12, 12)
    field = torch.full((1, 3, *shape), 0.75)
    ramp = identity_grid(shape)
    place = torch.tensor([[[3.0, 4.0, 5.0]]])
    assert torch.allclose(warp(ramp, field)[0, :, 3, 4, 5], warp_points(place, field)[0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"displacement": torch.zeros(1, 2, 4, 4, 4)}, GeometryError, r"\(1, 1, 4, 4, 4\).*\(1, 2, 4, 4, 4\)"),
        ({"displacement": torch.zeros(1, 3, 4, 4)}, GeometryError, r"got \(1, 3, 4, 4\)"),
        ({"displacement": torch.zeros(1, 3)}, GeometryError, "one component per axis"),
        ({"displacement": torch.zeros(2, 3, 4, 4, 4), "image": torch.zeros(3, 1, 4, 4, 4)}, GeometryError, "3 images"),
        ({"displacement": torch.zeros(1, 2, 3, 4, 4, 4)}, GeometryError, "2 displacements for 1 channels"),
        ({"interpolation": "cubic"}, ConfigError, "interpolation 'cubic'.*linear, nearest"),
        ({"padding": "mirror"}, ConfigError, "padding 'mirror'.*border, zeros, hard"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    defaults = {"image": torch.zeros(1, 1, 4, 4, 4), "displacement": torch.zeros(1, 3, 4, 4, 4)}
    with pytest.raises(error, match=message):
        warp(**{**defaults, **arguments})
    if "displacement" not in arguments:
        with pytest.raises(error, match=message):
            sample_at(defaults["image"], defaults["displacement"], **arguments)


def test_values_are_interpolated_at_points():
    ramp = identity_grid((6, 7, 8))
    points = torch.tensor([[[1.5, 2.25, 3.0], [4.0, 5.5, 6.75], [9.0, -3.0, 0.0]]])
    expected = torch.tensor([[[1.5, 2.25, 3.0], [4.0, 5.5, 6.75], [5.0, 0.0, 0.0]]])
    torch.testing.assert_close(values_at(ramp, points), expected)


def test_labels_stay_with_their_points():
    points = torch.tensor([[[1.0, 2.0, 7.0], [3.0, 3.0, 9.0]]])
    moved = warp_surface(points, torch.full((1, 2, 6, 6), 0.5), scale=2)
    assert moved.tolist() == [[[2.0, 3.0, 7.0], [4.0, 4.0, 9.0]]]


def test_gradients_reach_points_and_displacement():
    points = torch.tensor([[[1.3, 2.2, 7.0]]], dtype=torch.float64, requires_grad=True)
    field = torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(warp_surface, (points, field))


def a_point(shape, place, weight=1.0) -> torch.Tensor:
    image = torch.zeros(1, 1, *shape)
    image[(0, 0, *place)] = weight
    return image


@pytest.mark.parametrize(("shape", "place"), [((9,), (4,)), ((6, 9), (2, 7)), ((6, 9, 5), (5, 0, 3))])
def test_a_single_voxel_is_its_own_barycentre(shape, place):
    image = a_point(shape, place, 0.3)
    torch.testing.assert_close(barycentre(image).flatten(), torch.tensor(place, dtype=torch.float32))
    centred = [p - (n - 1) / 2 for p, n in zip(place, shape)]
    torch.testing.assert_close(barycentre(image, shift_center=True).flatten(), torch.tensor(centred))
    fraction = [c / n for c, n in zip(centred, shape)]
    torch.testing.assert_close(barycentre(image, True, True).flatten(), torch.tensor(fraction))


def test_weights_balance():
    image = a_point((11, 4), (0, 1), 1.0) + a_point((11, 4), (10, 1), 3.0)
    torch.testing.assert_close(barycentre(image).flatten(), torch.tensor([7.5, 1.0]))


def test_channels_are_separate_and_an_empty_one_gives_zero():
    image = torch.cat([a_point((6, 9), (2, 7)), torch.zeros(1, 1, 6, 9)], dim=1)
    assert barycentre(image).tolist() == [[[2.0, 7.0], [0.0, 0.0]]]


def test_gradients_of_the_barycentre_agree_with_finite_differences():
    image = torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(barycentre, (image,))
