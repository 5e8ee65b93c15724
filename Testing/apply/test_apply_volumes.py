"""Volumes of every kind through chains of every kind, compared with SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
from support.chains import a_field, an_affine, chain_called, chains, resampled_by_itk
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.apply.apply import apply, apply_transform
from VoxelMorphLib.apply.chain import Chain, Link
from VoxelMorphLib.apply.options import ApplyOptions
from VoxelMorphLib.apply.request import ApplyRequest
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.series import CHANNELS, COLOURS, FRAMES, Series
from VoxelMorphLib.core.transform import DisplacementField, Transform

OPTIONS = ApplyOptions(background=0.0)


def a_moving(name: str = "left-handed oblique") -> Image:
    return a_blob_image(a_geometry(name, (28, 40, 16), 2.0))


def inner(array: np.ndarray) -> np.ndarray:
    return array[2:-2, 2:-2, 2:-2]


@pytest.mark.parametrize("chain", chains())
@pytest.mark.parametrize("name", GEOMETRIES)
def test_images_agree_with_itk_to_a_thousandth_of_the_range(name, chain):
    moving, reference = a_moving(), a_geometry(name, (11, 10, 9))
    moved = apply(ApplyRequest(moving, chain_called(chain), reference, OPTIONS))
    expected = resampled_by_itk(moving, chains()[chain], reference)
    assert moved.geometry is reference and moved.array.any()
    assert np.abs(inner(moved.array - expected)).max() < 1e-3 * np.ptp(moving.array)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
def test_every_interpolation_agrees_with_itk(interpolation):
    moving, reference = a_moving(), a_geometry("LAS")
    options = ApplyOptions(interpolation=interpolation, background=0.0)
    moved = apply(ApplyRequest(moving, chain_called("composite"), reference, options)).array
    expected = resampled_by_itk(moving, chains()["composite"], reference, interpolation)
    assert (np.abs(moved - expected) <= 1e-3 * np.ptp(moving.array)).mean() > (
        0.995 if interpolation == "nearest" else 0.9999
    )


def test_there_and_back_is_the_same_place():
    there, grid = chain_called("four of them"), a_geometry("oblique", (8, 9, 10))
    back = Chain((*there.links, *(Link(link.transform, not link.is_inverted) for link in reversed(there.links))))
    points = grid.points()
    assert np.abs(back.pull().apply_to_points(points) - points).max() < 0.01
    assert np.abs(there.push().apply_to_points(there.pull().apply_to_points(points)) - points).max() < 0.01


def test_a_chain_interpolates_once():
    grid = a_geometry("RAS", (20, 20, 20), 1.0)
    noise = Image(np.random.default_rng(0).normal(size=grid.shape), grid, "noise")
    half, nothing = np.full((*grid.shape, 3), 0.5), DisplacementField(np.zeros((*grid.shape, 3)), grid)
    there, back = DisplacementField(half, grid), DisplacementField(-half, grid)
    moved = apply(ApplyRequest(noise, Chain((Link(there), Link(back), Link(nothing))), grid, OPTIONS))
    assert np.abs(inner(moved.array - noise.array)).max() < 1e-6  # twice interpolated noise would be blurred


def test_label_maps_keep_their_labels_and_multilabel_is_smoother():
    labels, fine = a_label_map(a_geometry("LAS", (12, 12, 10), 3.0)), a_geometry("RAS", (36, 36, 36), 0.8)
    chain = Chain((Link(an_affine()),))
    truth = a_label_map(a_geometry("LAS", (60, 60, 50), 0.6))
    truth = apply(ApplyRequest(truth, chain, fine, ApplyOptions(interpolation="nearest")))
    moved = {
        rule: apply(ApplyRequest(labels, chain, fine, ApplyOptions(interpolation=rule)))
        for rule in ("nearest", "multilabel", "linear")
    }
    assert all(isinstance(each, LabelMap) and set(each.labels()) <= {2, 17, 53} for each in moved.values())
    right = {rule: (each.array == truth.array).mean() for rule, each in moved.items()}
    assert right["multilabel"] > right["nearest"] + 0.005 and right["linear"] == right["nearest"]


def test_a_series_is_the_same_as_its_frames():
    moving, reference = a_moving(), a_geometry("LPS")
    frames = np.stack([moving.array * (n + 1) for n in range(4)], axis=-1).astype(np.int16)
    series, told = Series(frames, moving.geometry, "bold", FRAMES, 2.0), []
    request = ApplyRequest(series, chain_called("composite"), reference, OPTIONS)
    moved = apply(request, lambda fraction, text: told.append((fraction, text)))
    assert (moved.kind, moved.step, moved.array.dtype, len(told)) == (FRAMES, 2.0, np.int16, 4)
    for number in range(4):
        alone = apply(ApplyRequest(series.frame(number), request.chain, reference, OPTIONS))
        assert np.abs(moved.array[..., number].astype(int) - alone.array).max() <= 1  # rounding


def test_the_map_is_computed_once_for_all_frames():
    calls = []

    class Counting(DisplacementField):
        def to_displacement(self, geometry):
            calls.append(geometry)
            return super().to_displacement(geometry)

    field = a_field()
    chain = Chain((Link(Counting(field.array, field.geometry)),))
    series = Series(np.zeros((*a_moving().geometry.shape, 6), np.float32), a_moving().geometry)
    apply(ApplyRequest(series, chain, a_geometry(), OPTIONS))
    assert len(calls) == 1


@pytest.mark.parametrize("background", [None, 9.0])
def test_colours_are_moved_channel_by_channel_into_black(background):
    grid, far = a_geometry(), a_geometry("RAS", (30, 30, 30), 2.0)
    colours = Series(np.full((*grid.shape, 3), 200, np.uint8), grid, "slide", COLOURS)
    moved = apply(ApplyRequest(colours, Chain((Link(an_affine()),)), far, ApplyOptions(background=background)))
    assert moved.kind == COLOURS and moved.array.dtype == np.uint8
    assert moved.array.max() == 200 and moved.array.min() == (background or 0)


def test_vectors_are_moved_and_it_is_said_that_they_are_not_turned():
    moving = a_moving()
    vectors = Series(np.stack([moving.array] * 3, axis=-1), moving.geometry, "velocity", CHANNELS)
    with pytest.warns(UserWarning, match="components of velocity are carried along as they are"):
        moved = apply(ApplyRequest(vectors, chain_called("affine"), a_geometry(), OPTIONS))
    alone = apply(ApplyRequest(moving, chain_called("affine"), a_geometry(), OPTIONS))
    assert all(np.array_equal(moved.array[..., n], alone.array) for n in range(3))


def test_frames_of_labels_are_voted_about():
    labels = a_label_map(a_geometry())
    series = Series(np.stack([labels.array] * 2, axis=-1), labels.geometry, "labels")
    options = ApplyOptions(interpolation="multilabel")
    moved = apply(ApplyRequest(series, chain_called("field"), a_geometry("LAS"), options))
    alone = apply(ApplyRequest(labels, chain_called("field"), a_geometry("LAS"), options))
    assert (moved.array[..., 1] == alone.array).mean() > 0.9999
    halves = Series(series.array + 0.5, labels.geometry, "halves")
    with pytest.raises(ImageError, match="halves, 1 of 2 is not a label map"):
        apply(ApplyRequest(halves, chain_called("field"), a_geometry("LAS"), options))


def test_without_transforms_a_volume_comes_onto_another_grid():
    moving, reference = a_moving(), a_geometry("oblique")
    moved = apply(ApplyRequest(moving, Chain(), reference, OPTIONS)).array
    assert np.abs(inner(moved - resampled_by_itk(moving, (), reference))).max() < 0.1


def test_the_grid_of_the_first_field_is_the_reference_unless_there_is_one():
    field, moving = a_field(), a_moving()
    assert apply_transform(moving, [field, an_affine()]).geometry is field.geometry
    backwards = [("inverse", field.compose(an_affine()))]
    with pytest.raises(ConfigError, match=r"no grid to resample onto.*Name a reference volume"):
        apply_transform(moving, backwards)
    with pytest.raises(ConfigError, match="no grid to resample onto"):
        apply_transform(moving, an_affine())
    assert apply_transform(moving, an_affine(), a_geometry("LAS")).geometry.matches(a_geometry("LAS"))


def test_files_and_objects_do_the_same(tmp_path):
    moving, field, reference = a_moving(), a_field(), a_blob_image(a_geometry("LAS"))
    write_image(moving, tmp_path / "moving.nii.gz")
    write_image(reference, tmp_path / "reference.nii.gz")
    write_transform(field, tmp_path / "field.nii.gz")
    links = [("inverse", tmp_path / "field.nii.gz"), an_affine()]
    options = ApplyOptions(interpolation="cubic")
    files = tmp_path / "moving.nii.gz", links, tmp_path / "reference.nii.gz"
    moved = apply_transform(*files, tmp_path / "moved.nii.gz", options)
    same = apply_transform(moving, [("inverse", read_transform(links[0][1])), an_affine()], reference, None, options)
    assert np.abs(moved.array - same.array).max() < 0.01 and (tmp_path / "moved.nii.gz").exists()


@pytest.mark.parametrize("wrong", [3, ("inverse", 3)])
def test_what_is_no_transform_is_refused(wrong):
    with pytest.raises(ConfigError, match="3 is no transform"):
        apply_transform(a_moving(), [wrong])


def test_what_cannot_be_moved_is_refused():
    with pytest.raises(ImageError, match="dict cannot be moved"):
        apply_transform({}, an_affine())


def test_chains_are_transforms():
    assert isinstance(chain_called("four of them").pull(), Transform)
