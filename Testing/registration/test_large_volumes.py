"""Volumes beyond a limit are registered on bounded memory, to the same result as below it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.ndimage import gaussian_filter
from support.volumes import a_blob_image, a_geometry, blob_values
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.itk import array_of, itk_image
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, CompositeTransform, DisplacementField
from VoxelMorphLib.registration import intensity_scale, network_space
from VoxelMorphLib.registration.effort import EFFORTS, Effort, Level
from VoxelMorphLib.registration.intensities import bounds, without_outliers
from VoxelMorphLib.registration.reduced_image import ReducedImage
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.registration.result import Registration
from VoxelMorphLib.weights.catalogue import find_entry

smoothed = network_space.without_aliasing
SHAPE = (36, 34, 30)


@pytest.fixture
def a_pair(monkeypatch) -> tuple[Image, Image]:
    """Two volumes that an optimisation sees on fewer voxels than they have."""
    levels = (Level(2, 4), Level(1, 4))
    monkeypatch.setitem(EFFORTS, "fast", Effort(levels, levels, 8_000, 3_000_000))
    grid = a_geometry("LPS", SHAPE, 1.9)
    bent = 100 * blob_values(grid.points() + 1.5 * np.sin(grid.points()[..., ::-1] / 6))
    return a_blob_image(a_geometry("anisotropic", SHAPE)), Image(bent.astype(np.float32), grid, "bent blobs")


def registered(pair: tuple[Image, Image], affine: str = "centre") -> Registration:
    return register_pair(*pair, options=RegistrationOptions(affine=affine, refine="fast"))


def field_of(result: Registration) -> DisplacementField:
    first = result.forward.transforms[0] if isinstance(result.forward, CompositeTransform) else result.forward
    assert isinstance(first, DisplacementField)
    return first


@pytest.mark.parametrize("affine", ["none", "centre"])
def test_the_field_of_a_large_volume_is_kept_where_it_was_found(a_pair, affine, monkeypatch):
    fixed = a_pair[0]
    usual = registered(a_pair, affine)
    monkeypatch.setattr(network_space, "LARGEST_FIELD", 10_000)
    large = registered(a_pair, affine)
    assert field_of(usual).geometry.shape == fixed.geometry.shape
    assert np.abs(field_of(usual).array).max() > 1
    assert field_of(large).array.size < 0.5 * field_of(usual).array.size
    for found, expected in ((large.forward, usual.forward), (large.inverse, usual.inverse)):
        grid = fixed.geometry
        difference = found.to_displacement(grid).array - expected.to_displacement(grid).array
        assert np.abs(difference).max() < 1e-3
    np.testing.assert_allclose(large.moved.array, usual.moved.array, atol=2e-3)


@pytest.mark.parametrize(("voxels", "is_told"), [(2_000, True), (4_000_000, False)])
def test_it_is_said_on_which_voxels_a_large_pair_was_compared(a_pair, voxels, is_told, monkeypatch):
    levels = (Level(2, 2),)
    monkeypatch.setitem(EFFORTS, "fast", Effort(levels, levels, voxels, 3_000_000))
    compared = registered(a_pair).report.compared
    said = re.search(r"; on voxels of [\d.]+ mm, because there would be too many of 1.9 mm", compared)
    assert bool(said) == is_told, compared


def test_figures_of_a_large_volume_count_its_own_voxels(a_pair, monkeypatch):
    usual = registered(a_pair).report
    monkeypatch.setattr(network_space, "LARGEST_FIELD", 10_000)
    large = registered(a_pair).report
    for name in ("similarity_after", "mutual_information_after", "local_similarity_after"):
        assert getattr(large, name) == pytest.approx(getattr(usual, name), abs=1e-3)
    assert large.inverse_residual_mm == pytest.approx(usual.inverse_residual_mm, abs=0.02)
    assert large.folded_percent == pytest.approx(usual.folded_percent, abs=0.01)


def a_fine_volume(order: str = "C") -> Image:
    """Structures of a few voxels, and a hot one."""
    shape = (61, 50, 47)
    values = 400 + 100 * gaussian_filter(np.random.default_rng(2).normal(size=shape), 3) / 0.03
    values[5, 6, 7] = 30_000
    return Image(np.asarray(values, np.int16, order=order), Geometry(shape, np.diag([0.4, 0.5, 0.7, 1.0])))


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_that_come_first_smooth_as_a_gaussian_alone(order, monkeypatch):
    image = a_fine_volume(order)
    grid = image.geometry.with_spacing((2.0, 2.2, 2.4))
    ends = bounds(image, 0.25)
    fast = network_space.without_aliasing(image, grid, *ends)
    monkeypatch.setattr(network_space, "BLOCKS_ALONG", 1000)
    exact = network_space.without_aliasing(image, grid, *ends)
    assert fast.array.size < 0.3 * exact.array.size
    one, other = (IDENTITY.resample(each, grid).array[1:-1, 1:-1, 1:-1] for each in (fast, exact))
    assert np.sqrt(np.mean((one - other) ** 2)) < 0.05 * other.std()


@pytest.mark.parametrize("rule", ["minmax", "percentile", "freesurfer"])
def test_percentiles_of_a_large_volume_are_those_of_a_part(rule, monkeypatch):
    image = a_fine_volume()
    whole = intensity_scale.normalise(image, rule).array
    monkeypatch.setattr(intensity_scale, "PERCENTILE_VOXELS", image.array.size // 4)
    np.testing.assert_allclose(intensity_scale.normalise(image, rule).array, whole, atol=0.01)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_are_averaged_as_by_itk(order):
    image = a_fine_volume(order)
    inside = LabelMap((image.array > 410).astype(np.uint8), image.geometry)
    found = ReducedImage.of(image, inside, 2000)
    clipped = without_outliers(image).array.astype(np.float32)
    share = sitk.Cast(itk_image(inside.array, image.geometry), sitk.sitkFloat32)
    blocks = [int(n) for n in found.geometry.spacing / image.geometry.spacing]
    for source, result in ((itk_image(clipped, image.geometry), found.image), (share, None)):
        smooth = sitk.DiscreteGaussian(sitk.BinShrink(source, blocks), ((found.geometry.spacing / 2) ** 2).tolist())
        reference = itk_image(np.empty(found.geometry.shape, np.uint8), found.geometry)
        expected = sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, found.background)
        if result is not None:
            np.testing.assert_allclose(array_of(result), array_of(expected), rtol=1e-5)
        else:
            assert (array_of(found.mask) == (array_of(expected) >= 0.5)).mean() > 0.99


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_grid_in_a_part_of_an_image_sees_what_it_sees_in_the_whole(order, monkeypatch):
    image = a_fine_volume(order)
    grid = image.geometry.shifted((20, 15, 14), (24, 24, 20)).with_spacing(1.1)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    turn[:3, 3] = grid.centre - turn[:3, :3] @ grid.centre
    space = find_entry("optimise").space
    for transform in (IDENTITY, AffineTransform(turn)):
        seen = []
        with monkeypatch.context() as patch:
            patch.setattr(
                network_space, "without_aliasing", lambda i, g, seen=seen: seen.append(i.array.size) or smoothed(i, g)
            )
            part = network_space.encode(image, grid, space, transform)
            patch.setattr(network_space, "_seen_part", lambda whole, *_: whole)
            whole = network_space.encode(image, grid, space, transform)
        assert seen[0] < seen[1] / 2
        np.testing.assert_allclose(part.numpy(), whole.numpy(), atol=1e-5)
