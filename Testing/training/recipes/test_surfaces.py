"""The recipe with surfaces: distances and points of labels, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.made_up_training import SHAPE, a_batch, a_scan, a_task, losses, some_info
from support.tiny_networks import filled
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.spatial import sample_at
from VoxelMorphLib.training.tasks.surfaces import label_surface

FEW = {"surf_points": 300}


def a_ball(radius: float = 5.0) -> np.ndarray:
    places = np.stack(np.meshgrid(*(np.arange(16.0),) * 3, indexing="ij"))
    return np.linalg.norm(places - 7.5, axis=0) < radius


def test_points_lie_on_the_surface_between_voxels():
    distance, points = label_surface(a_ball(), 2000)
    assert np.abs(np.linalg.norm(points - 7.5, axis=1) - 5).max() < 0.9
    values = sample_at(torch.from_numpy(distance)[None, None], torch.from_numpy(points.T.copy())[None])
    assert values.abs().max() < 1e-5
    assert distance[8, 8, 8] < -3
    assert distance[0, 0, 0] > 6


def test_points_cover_the_surface_evenly():
    _, points = label_surface(a_ball(), 5000)
    assert np.abs(points.mean(0) - 7.5).max() < 0.15


def test_a_small_surface_gives_its_points_several_times():
    mask = np.zeros((8, 8, 8), bool)
    mask[4, 4, 4] = True
    _, points = label_surface(mask, 14)
    assert len(points) == 14
    assert len(np.unique(points, axis=0)) == 6


def test_a_case_is_described_by_its_surfaces_always_alike():
    task = a_task("surfaces", **FEW)
    image, labels = a_scan(0)
    first, second = task.derive(image, labels), task.derive(image, labels)
    assert first["distance"].shape == (2, *SHAPE)
    assert first["points"].shape == (2, 300, 3)
    assert first["present"].tolist() == [1, 1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_distance_maps_can_be_smaller():
    task = a_task("surfaces", sdt_resize=0.5, **FEW)
    batch = a_batch(task)
    assert batch.extras["fixed_distance"].shape == (1, 2, 8, 8, 8)
    full = a_task("surfaces", **FEW)
    expected = losses(full, a_batch(full))["surface"].item()
    assert losses(task, batch)["surface"].item() == pytest.approx(expected, rel=0.5)


def test_the_distance_follows_the_written_formula():
    """With next to no displacement, the fixed points lie in the moving distance map."""
    task = a_task("surfaces", surface_weight=0.5, dt_sigma=2.0, surf_points=4000)
    batch = a_batch(task)
    squares = []
    for channel in range(2):
        points = batch.extras["fixed_points"][:, channel].transpose(1, 2)
        values = sample_at(batch.extras["moving_distance"][:, channel : channel + 1].float(), points)
        squares.append((values / 2.0).square().mean())
    expected = 0.5 * torch.stack(squares).mean().item()
    assert expected > 0.01
    assert losses(task, batch)["surface"].item() == pytest.approx(expected, rel=0.05)


def test_the_right_deformation_costs_nothing():
    """An image's own surface is at distance 0 when nothing moves."""
    task = a_task("surfaces", surf_bidir=True, **FEW)
    batch = a_batch(task)
    own = {name: batch.extras[name.replace("moving", "fixed")] for name in batch.extras}
    batch = batch.__class__(batch.numbers, batch.names, batch.fixed, batch.fixed, extras=own)
    terms = losses(task, batch)
    assert terms["surface"] < 1e-6
    assert terms["surface_back"] < 1e-6


def test_gradients_pull_points_onto_the_other_surface():
    task = a_task("surfaces", image_weight=0.0, smoothness=0.0, **FEW)
    batch = a_batch(task)
    optimiser = torch.optim.Adam(task.network.parameters(), 1e-3)
    before = losses(task, batch)["surface"].item()
    for _ in range(15):
        optimiser.zero_grad()
        losses(task, batch)["surface"].backward()
        optimiser.step()
    assert losses(task, batch)["surface"].item() < 0.9 * before


def test_labels_that_an_image_lacks_do_not_count():
    task = a_task("surfaces", **FEW)
    image, labels = a_scan(0)
    only_first = torch.where(labels == 3, labels, 0)
    assert task.derive(image, only_first)["present"].tolist() == [1, 0]
    batch = a_batch(task)
    batch.extras["fixed_present"][:, 1] = 0
    whole = losses(task, batch)["surface"].item()
    batch.extras["fixed_points"][:, 1] = 0.0
    assert losses(task, batch)["surface"].item() == whole
    batch.extras["fixed_present"][:] = 0
    assert losses(task, batch)["surface"].item() == 0


def test_points_follow_from_the_sample_alone():
    task = a_task("surfaces", **FEW)
    batch = a_batch(task, size=2)
    channels = task._channels(batch)
    assert [(channels[0] == c).sum().item() for c in (0, 1)] == [150, 150]
    points = task._points(batch.extras["fixed_points"], channels, batch)
    second = a_batch(task, first=1)
    again = task._points(second.extras["fixed_points"], task._channels(second), second)
    assert torch.equal(points[1:], again)


def test_a_subset_of_labels_is_drawn_for_each_pair():
    task = a_task("surfaces", labels_per_step=1, **FEW)
    rows = task._channels(a_batch(task, size=8))
    assert all(len(row.unique()) == 1 for row in rows)
    assert len(rows.unique()) == 2


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, {"image", "image_back", "penalty", "surface"}),
        ({"surf_bidir": True}, {"image", "image_back", "penalty", "surface", "surface_back"}),
        ({"surface_weight": 0.0}, {"image", "image_back", "penalty"}),
        ({"smoothness": 0.0}, {"image", "image_back", "surface"}),
        ({"image_weight": 0.0}, {"penalty", "surface"}),
    ],
)
def test_options_add_and_drop_terms(values, names):
    task = a_task("surfaces", **values, **FEW)
    assert set(losses(task, a_batch(task))) == names


def test_a_probabilistic_network_is_pulled_towards_the_prior():
    weak, strong = (a_task("surfaces", use_probs=True, prior_lambda=v, **FEW) for v in (1.0, 50.0))
    batch = a_batch(weak)
    assert losses(weak, batch)["penalty"] < losses(strong, batch)["penalty"]
    assert weak.published()[2]["use_probs"]


def test_a_dense_network_is_published():
    task = a_task("surfaces", **FEW)
    filled(task.network)
    network, architecture, _ = task.published()
    batch = a_batch(task)
    assert architecture == type(network).__name__ == "VxmDense"
    expected = task.fields(task.network, batch.moving, batch.fixed).displacement
    assert torch.equal(network.eval().fields(batch.moving, batch.fixed).displacement, expected)


def test_cases_without_labels_are_refused():
    with pytest.raises(ImageError, match="case without label map has no surfaces"):
        a_task("surfaces").derive(a_scan(0)[0], None)
    with pytest.raises(ConfigError, match="surfaces learns from label maps"):
        a_task("surfaces", some_info(labels=()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bidir": False}, "surfaces compares images in both directions"),
        ({"augment_warp": 2.0}, "surfaces are known cannot be deformed"),
        ({"surf_points": 2.5}, "surf_points is 2.5; give a whole number"),
        ({"sdt_resize": 2}, "sdt_resize is 2; choose a number from 0.1 to 1"),
    ],
)
def test_impossible_options_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        a_task("surfaces", **values)
