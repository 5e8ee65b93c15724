"""The memory that networks of many features need, and the smaller grid where it does not suffice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from VoxelMorphLib.core import memory
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.networks.dense import VxmDense
from VoxelMorphLib.networks.registrar import peak_features
from VoxelMorphLib.registration.extent import on_extent
from VoxelMorphLib.registration.memory_need import memory_need
from VoxelMorphLib.registration.network_space import network_grid
from VoxelMorphLib.registration.predictor import Predictor
from VoxelMorphLib.weights.architectures import JOINT, build_network
from VoxelMorphLib.weights.catalogue import load_catalogue


def a_box(extent: int, spacing: float = 1.0) -> Image:
    """Contents nearly everywhere."""
    array = np.zeros((extent,) * 3, np.int16)
    array[1:-1, 1:-1, 1:-1] = 700
    return Image(array, Geometry(array.shape, np.diag([spacing] * 3 + [1.0])), "box")


@pytest.fixture
def free(monkeypatch):
    """Let so many bytes be free."""
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda: size)


def a_predictor(model: str, **arguments) -> Predictor:
    """A listed model with a network of shapes alone."""
    entry = load_catalogue()[model]
    values = {**entry.arguments, **({"hyp_num": 0} if entry.architecture == JOINT else {}), **arguments}
    peak = 4 * peak_features(build_network(entry.architecture, values, device="meta"))
    return Predictor(entry, "cpu", lambda *_pair: None, peak_bytes=peak)


@pytest.mark.parametrize(
    ("model", "per_voxel"),  # growth of the peak of whole registrations from 64 to 128 voxels along each axis
    [("synthmorph-affine-2", 96), ("synthmorph-brains", 291)],
)
def test_wide_networks_need_what_was_measured(model, per_voxel):
    predictor = a_predictor(model)
    needs = []
    for extent in (64, 128):
        space = replace(predictor.entry.space, shape=(extent,) * 3)
        image = a_box(extent)
        needs.append(memory_need(image, image, replace(predictor, entry=replace(predictor.entry, space=space))))
    assert 0.75 * per_voxel < (needs[1] - needs[0]) / (128**3 - 64**3) < 1.15 * per_voxel


def test_features_alive_at_once_follow_from_the_network():
    """By hand, per voxel: two images and 4 features that are pooled at once; a skip of 4, what joins it, and 2."""
    network = VxmDense(features=[[4, 8], [8, 4, 2]], svf_resolution=2, int_resolution=2)
    full = VxmDense(features=[[4, 8], [8, 4, 2]])
    assert peak_features(network) == 2 + 4 / 8
    assert peak_features(full) == 4 + 4 / 8 + 2


def test_a_smaller_extent_is_taken_where_the_memory_does_not_suffice(free):
    predictor, image, cleared = a_predictor("synthmorph-joint-3"), a_box(64), []
    large = memory_need(image, image, predictor)
    free(large + 1)
    assert on_extent(image, image, predictor, "auto", lambda: None) is predictor
    free(large - 1)
    smaller = on_extent(image, image, predictor, "auto", lambda: cleared.append(1))
    (said,) = smaller.warnings
    assert smaller.entry.space.shape == (192,) * 3 and cleared == [1]
    assert "does not suffice for synthmorph-joint-3 on 256 voxels along each axis, so 192 were taken" in said
    assert 0.4 < memory_need(image, image, smaller) / large < 0.45
    assert on_extent(image, image, predictor, "256", lambda: None) is predictor
    free(None)
    assert on_extent(image, image, predictor, "192", lambda: None).entry == smaller.entry
    other = a_predictor("synthmorph-brains")
    assert on_extent(image, image, other, "192", lambda: None) is other


def test_a_smaller_extent_lies_in_the_middle_and_is_never_lengthened():
    image = a_box(46, spacing=5.0)
    smaller = on_extent(image, image, a_predictor("synthmorph-joint-3"), "192", lambda: None)
    grid = network_grid(image, smaller.entry.space)
    assert grid.shape == (192,) * 3
    assert np.abs(grid.centre - image.geometry.centre).max() <= 0.5
