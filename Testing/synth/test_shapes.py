"""Label maps of random shapes."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.synth.shapes import random_shapes, shapes_as_the_original


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("shape", [(40, 56), (24, 32, 20)])
@pytest.mark.parametrize("shared", [False, True])
def test_shapes_are_those_of_the_originals_order_of_operations(shape, shared):
    fast = random_shapes(shape, generators(1, 2), 6, shared_warps=shared, step=1)
    slow = shapes_as_the_original(shape, generators(1, 2), 6, shared)
    assert fast.shape == slow.shape == (2, 1, *shape) and fast.dtype == torch.int16
    assert (fast != slow).float().mean() < 0.01
    coarse = random_shapes(shape, generators(1, 2), 6, shared_warps=shared)
    assert (fast != coarse).float().mean() < 0.03


def test_a_seed_fixes_a_map_whatever_its_neighbours():
    both = random_shapes((32, 32), generators(4, 5))
    assert torch.equal(both[1:], random_shapes((32, 32), generators(5)))
    assert not torch.equal(both[0], both[1])


def test_labels_are_equally_frequent_and_their_regions_large():
    maps = random_shapes((48, 48), generators(*range(120)), labels=4)
    shares = torch.bincount(maps.flatten().long(), minlength=4) / maps.numel()
    assert shares.min() > 0.19 and shares.max() < 0.31
    borders = (maps.diff(dim=3) != 0).float().mean()
    assert 0.005 < borders < 0.2  # noise of single voxels has 0.75


def test_only_independent_warps_make_other_shapes_of_every_label():
    shared, own = (random_shapes((64, 64), generators(*range(8)), 8, shared_warps=s) for s in (True, False))
    assert (shared != own).float().mean() > 0.2


def test_without_warps_shapes_are_the_noise_itself():
    plain = random_shapes((32, 32), generators(0), 3, warp_std=0, step=1)
    assert torch.equal(plain, random_shapes((32, 32), generators(0), 3, warp_std=0, shared_warps=True, step=1))


@pytest.mark.parametrize("options", [{"labels": 1}, {"step": 0}, {"warp_std": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="at least two labels"):
        random_shapes((16, 16), generators(0), **options)


@pytest.mark.parametrize("shape", [(16,), (16, 1), (4, 4, 4, 4)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(GeometryError, match="two or three axes"):
        random_shapes(shape, generators(0))
