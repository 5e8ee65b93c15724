"""Nodes of a velocity, and the equations that its steps solve."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.displacement import integrate_velocity
from VoxelMorphLib.core.resize import resize
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.registration.gauss_newton import Regularity, solve, structure_tensor
from VoxelMorphLib.registration.velocity_nodes import VelocityNodes, gather, spread

SHAPE = (21, 17, 13)


def random_field(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(seed))


def places() -> list[torch.Tensor]:
    return [torch.arange(n, dtype=torch.float32) for n in SHAPE]


def along(nodes: VelocityNodes) -> torch.Tensor:
    """Voxel coordinates of the nodes on the first axis."""
    return torch.arange(nodes.shape[0]) * nodes.spacing[0]


def test_a_linear_velocity_is_the_same_on_all_nodes() -> None:
    coarse, fine = VelocityNodes(SHAPE, 4), VelocityNodes(SHAPE, 2)
    x = along(coarse).view(1, 1, -1, 1, 1) * torch.ones(1, 3, *coarse.shape)
    assert torch.allclose(fine.resampled(x)[0, 0, :, 3, 3], along(fine), atol=1e-4)
    assert torch.allclose(spread(x, coarse.weights(places()))[0, 0, :, 3, 3], places()[0], atol=1e-4)


def test_gathering_is_the_adjoint_of_spreading() -> None:
    nodes = VelocityNodes(SHAPE, 3)
    values, voxels = random_field(nodes.shape), random_field(SHAPE, 1)
    weights = nodes.weights(places())
    one, other = (spread(values, weights) * voxels).sum(), (values * gather(voxels, weights)).sum()
    assert float(one) == pytest.approx(float(other), rel=1e-4)


def test_both_displacements_undo_each_other() -> None:
    nodes = VelocityNodes(SHAPE, 4)
    there, back = nodes.displacements(random_field(nodes.shape))
    left = (back + warp(there, back)).norm(dim=1)
    assert left.mean() < 0.1 * there.norm(dim=1).mean()


@pytest.mark.parametrize(("longest", "error"), [(0.2, 0.002), (1.0, 0.01), (4.0, 0.03), (16.0, 0.1)])
def test_few_squarings_suit_a_usual_velocity(longest, error) -> None:
    nodes, velocity = VelocityNodes((41, 41, 41), 4, squarings=3), a_velocity(longest)
    exact = integrate_velocity(velocity, 12)
    assert (nodes.exponential(4 * velocity) / 4 - exact).norm() < error * exact.norm()


@pytest.mark.parametrize(("longest", "more"), [(15.9, 0), (16.1, 1), (40.0, 2), (1e9, 4)])
def test_longer_ways_get_more_squarings(longest, more) -> None:
    nodes, velocity = VelocityNodes((41, 41, 41), 4, squarings=3), a_velocity(longest)
    torch.testing.assert_close(nodes.exponential(4 * velocity), 4 * integrate_velocity(velocity, 3 + more))


def a_velocity(longest: float) -> torch.Tensor:
    """(1, 3, 11, 11, 11), smooth, in nodes."""
    velocity = resize(random_field((3, 3, 3)), (11, 11, 11))
    return velocity * (longest / velocity.abs().max())


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_velocity_that_is_no_number_still_has_steps(value) -> None:
    nodes = VelocityNodes(SHAPE, 4)
    assert nodes.exponential(torch.full((1, 3, *nodes.shape), value)).shape == (1, 3, *nodes.shape)


def test_a_displacement_gives_back_its_velocity() -> None:
    nodes = VelocityNodes(SHAPE, 4)
    velocity = random_field(nodes.shape)
    found = nodes.from_displacement(nodes.displacements(velocity)[0])
    assert (found - velocity).norm() < 0.2 * velocity.norm()


def test_regularity_does_not_depend_on_the_number_of_nodes() -> None:
    energies = []
    for spacing in (2.0, 4.0):
        nodes = VelocityNodes((41, 41, 41), spacing)
        x = torch.sin(along(nodes) / 6).view(1, 1, -1, 1, 1) * torch.ones(1, 3, *nodes.shape)
        gradient = Regularity(1.0, 0.0, nodes.spacing).gradient(x)
        energies.append(float((gradient * x).sum()) / x[0, 0].numel())
    assert energies[0] == pytest.approx(energies[1], rel=0.15)


def test_a_constant_velocity_costs_nothing() -> None:
    constant = torch.ones(1, 3, 5, 6, 7)
    assert Regularity(1.0, 1.0, (2.0, 2.0, 3.0)).gradient(constant).abs().max() < 1e-6


def test_a_slice_is_as_stiff_as_a_volume_of_equal_slices():
    plane, volume = VelocityNodes((17, 13, 1), 2.0), VelocityNodes((17, 13, 9), 2.0)
    velocity = random_field(plane.shape, 4)
    thick = velocity.expand(-1, -1, -1, -1, volume.shape[2])
    alone, among = (Regularity(0.5, 0.2, nodes.strained) for nodes in (plane, volume))
    torch.testing.assert_close(alone.gradient(velocity)[..., 0], among.gradient(thick)[..., 0])
    assert 0.4 < alone.diagonal() / among.diagonal() < 0.7  # two axes of three


def test_the_step_solves_its_equations() -> None:
    curvature = structure_tensor(random_field((8, 7, 6)), (1, 1, 1))
    regularity, right = Regularity(0.5, 0.2, (2.0, 2.0, 2.0)), random_field((8, 7, 6), 1)
    step = solve(curvature, regularity, right, 100)
    xx, xy, xz, yy, yz, zz = curvature.unbind(1)
    x, y, z = step.unbind(1)
    left = torch.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z], 1)
    left = left + 0.05 * curvature[:, [0, 3, 5]].mean() * step + regularity.gradient(step)
    assert (left - right).norm() < 1e-3 * right.norm()


def test_a_ramp_has_one_slope() -> None:
    ramp = (2 * torch.arange(9.0)).view(1, 1, -1, 1, 1).expand(1, 1, 9, 5, 5)
    tensor = structure_tensor(ramp, (2, 1, 1))
    assert torch.allclose(tensor[0, 0], torch.ones(9, 5, 5))
    assert tensor[0, 1:].abs().max() == 0
