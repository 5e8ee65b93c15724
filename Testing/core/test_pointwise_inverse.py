"""Fields are inverted at single points: exactly, beyond their grid too, and what has no inverse is counted."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_geometry, a_smooth_field, rotation
from VoxelMorphLib.core import pointwise_inverse
from VoxelMorphLib.core.pointwise_inverse import PRECISION_MM, Misses, PointwiseInverse, inverse_at_points
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField


def a_field(name: str = "oblique", amplitude_mm: float = 3.0) -> DisplacementField:
    grid = a_geometry(name)
    return DisplacementField(a_smooth_field(grid, amplitude_mm), grid)


def places(count: int = 500, spread_mm: float = 25.0) -> np.ndarray:
    return np.array([6.0, -11.0, 17.0]) + np.random.default_rng(1).uniform(-spread_mm, spread_mm, (count, 3))


def test_there_and_back_is_exact_inside_and_beyond_the_grid(any_geometry):
    field = DisplacementField(a_smooth_field(any_geometry, 3.0), any_geometry)
    inverse, points = PointwiseInverse(field), places()
    assert np.abs(inverse.apply_to_points(field.apply_to_points(points)) - points).max() < 0.005
    assert np.abs(field.apply_to_points(inverse.apply_to_points(points)) - points).max() < 1e-4
    assert (inverse.misses.points, inverse.inverse()) == (0, field)


def test_many_points_start_from_a_coarse_inverse_and_end_at_the_same_place(monkeypatch):
    field, points, asked = a_field(), places(2000), []
    alone = PointwiseInverse(field).apply_to_points(points)
    monkeypatch.setattr(pointwise_inverse, "MANY", 1000)
    inverse = PointwiseInverse(field)
    solve = PointwiseInverse._solved

    def counted(self, targets, start):
        asked.append(len(targets))
        return solve(self, targets, start)

    monkeypatch.setattr(PointwiseInverse, "_solved", counted)
    for _turn in range(2):
        assert np.abs(inverse.apply_to_points(points) - alone).max() < 5e-4
    assert len(asked) == 3 and asked[0] < np.prod(field.geometry.shape) / 10  # the coarse one is made once


def test_it_is_more_exact_than_the_inverse_on_the_grid():
    field, points = a_field(), places(spread_mm=8.0)
    errors = [
        np.abs(back.apply_to_points(field.apply_to_points(points)) - points).max()
        for back in (PointwiseInverse(field), field.inverse())
    ]
    assert errors[0] < 0.001 < 0.01 < errors[1]


def test_chains_are_turned_around():
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((1, 0, 1), 20), (3, -2, 1)
    chain = CompositeTransform((AffineTransform(matrix), a_field(), AffineTransform(matrix @ matrix)))
    back = inverse_at_points(chain)
    assert np.abs(back.apply_to_points(chain.apply_to_points(places())) - places()).max() < 0.005
    assert inverse_at_points(back).transforms[1] is chain.transforms[1]
    assert np.allclose(inverse_at_points(AffineTransform(matrix)).matrix @ matrix, np.eye(4))


def test_what_folds_is_counted():
    grid = a_geometry("RAS", (12, 12, 12), 1.0)
    field = DisplacementField(np.random.default_rng(0).normal(scale=4, size=(*grid.shape, 3)), grid)
    inverse = PointwiseInverse(field)
    found = inverse.apply_to_points(grid.points())
    missed = np.linalg.norm(field.apply_to_points(found) - grid.points(), axis=-1)
    assert inverse.misses.points == (missed > PRECISION_MM).sum() > 100
    assert inverse.misses.worst_mm == pytest.approx(missed.max())


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 5, 3)])
def test_any_shape_of_points_is_kept(shape):
    points = np.full(shape, 6.0)
    assert PointwiseInverse(a_field()).apply_to_points(points).shape == shape


def test_misses_are_added_up():
    misses = Misses()
    misses.add(np.array([0.0, 0.5]))
    misses.add(np.array([0.25]))
    misses.add(np.array([]))
    assert (misses.points, misses.worst_mm) == (2, 0.5)
