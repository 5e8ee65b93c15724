"""Cases come to one grid by the code that prepares a registration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.training_files import LABELS, write_cases
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.registration.network_space import encode, network_grid, reoriented, training_grid
from VoxelMorphLib.training.data.case import Case
from VoxelMorphLib.training.data.space import (
    TrainingSpace,
    choose_labels,
    common_shape,
    extents,
    merge_labels,
    parse_merges,
    select_labels,
)


def a_case(folder, geometry="RAS", shape=(14, 12, 10), extension=".nii.gz") -> Case:
    (image,) = write_cases(folder, 1, shape, geometry, extension)
    return Case("case", image, folder / "labels" / image.name)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("centring", ["image", "foreground"])
def test_images_are_encoded_as_for_a_registration(tmp_path, name, centring):
    space = NetworkSpace(shape=(16, 16, 16), multiple=8, centring=centring, intensity="percentile", orientation="LIA")
    prepared = TrainingSpace(space, LABELS).prepare(a_case(tmp_path, name))
    image = a_blob_image(a_geometry(name))
    expected = encode(image, network_grid(image, space), space)[0]
    assert torch.allclose(prepared.image, expected, atol=1e-6)
    assert prepared.image.shape == (1, 16, 16, 16)
    assert prepared.labels.dtype == torch.int16


@pytest.mark.parametrize("name", GEOMETRIES)
def test_labels_lie_where_their_image_lies(tmp_path, name):
    space = NetworkSpace(shape=(16, 16, 16))
    case = a_case(tmp_path, name)
    labels = TrainingSpace(space, LABELS).prepare(case).labels[0].numpy()
    image = a_blob_image(a_geometry(name))
    expected = a_label_map(reoriented(image.geometry, "RAS")).array
    grid = network_grid(image, space)
    first = np.rint(grid.world_to_voxel(reoriented(image.geometry, "RAS").origin)).astype(int)
    found = labels[tuple(slice(start, start + n) for start, n in zip(first, expected.shape))]
    assert np.array_equal(found, expected)
    assert np.count_nonzero(labels) == np.count_nonzero(expected)


def test_padding_puts_the_surplus_voxel_behind_as_the_original(tmp_path):
    space = NetworkSpace(shape=(17, 12, 10))
    image = TrainingSpace(space).prepare(a_case(tmp_path)).image[0]
    assert not image[0].any() and not image[-2:].any() and image[1].any() and image[-3].any()


@pytest.mark.parametrize("centring", ["image", "foreground"])
def test_larger_images_are_cut_about_their_middle(tmp_path, centring):
    space = NetworkSpace(shape=(8, 12, 16), centring=centring, multiple=4)
    image = a_blob_image(a_geometry())
    assert training_grid(image, space).shape == (8, 12, 16)
    if centring == "image":
        assert training_grid(image, space).world_to_voxel(image.geometry.origin).tolist() == [-3, 0, 3]
    assert TrainingSpace(space).prepare(a_case(tmp_path)).image.shape == (1, 8, 12, 16)


@pytest.mark.parametrize("extension", [".nii", ".nrrd", ".mgz", ".npz"])
def test_every_format_gives_the_same_tensor(tmp_path, extension):
    if extension == ".mgz":
        pytest.importorskip("nibabel")
    space = TrainingSpace(NetworkSpace(shape=(16, 16, 16)), LABELS)
    reference = space.prepare(a_case(tmp_path / "nii"))
    found = space.prepare(a_case(tmp_path / "other", extension=extension))
    assert torch.allclose(found.image, reference.image, atol=1e-6)
    assert torch.equal(found.labels, reference.labels)


def test_archives_of_the_original_hold_both(tmp_path):
    values = a_blob_image(a_geometry()).array
    np.savez(tmp_path / "a.npz", vol=values, seg=(values > 50).astype(int))
    case = Case("a", tmp_path / "a.npz", tmp_path / "a.npz")
    prepared = TrainingSpace(NetworkSpace(shape=(16, 16, 16)), (1,)).prepare(case)
    assert prepared.labels.sum() == (values > 50).sum()


def test_labels_are_merged_and_chosen(tmp_path):
    case = a_case(tmp_path)
    prepared = TrainingSpace(NetworkSpace(shape=(16, 16, 16)), (2,), {17: 2}).prepare(case)
    array = a_label_map(a_geometry()).array
    assert prepared.labels.unique().tolist() == [0, 2]
    assert (prepared.labels == 2).sum() == np.isin(array, (2, 17)).sum()


def test_the_common_shape_holds_all_images_at_the_multiple_of_the_network():
    space = NetworkSpace(voxel_size=1.0, orientation="SAR")
    sizes = [extents(a_geometry("RAS"), space), extents(a_geometry("LPS", (20, 8, 8)), space)]
    assert sizes == [(20, 24, 28), (16, 16, 40)]
    assert common_shape(sizes, 16) == (32, 32, 48)
    assert common_shape(sizes, 1) == (20, 24, 40)


def test_images_without_contents_are_refused(tmp_path):
    geometry = a_geometry()
    space = TrainingSpace(NetworkSpace(shape=(16, 16, 16)))
    flat = write_image(Image(np.zeros(geometry.shape), geometry), tmp_path / "flat.nii.gz")
    with pytest.raises(ImageError, match=r"flat.nii.gz is empty or constant"):
        space.prepare(Case("flat", flat))
    corner = np.zeros(geometry.shape, np.float32)
    corner[0, 0, 0] = 1
    path = write_image(Image(corner, geometry), tmp_path / "corner.nii.gz")
    with pytest.raises(ImageError, match=r"corner.nii.gz is constant where it lies in the training space"):
        TrainingSpace(NetworkSpace(shape=(8, 8, 8))).prepare(Case("corner", path))


def test_a_label_map_at_another_place_is_refused(tmp_path):
    case, geometry = a_case(tmp_path), a_geometry()
    array = a_label_map(geometry).array
    write_image(LabelMap(array, geometry.shifted((100, 0, 0), geometry.shape)), case.labels)
    with pytest.raises(ImageError, match="none of the labels 2, 17, 53 in the training space"):
        TrainingSpace(NetworkSpace(shape=(16, 16, 16)), LABELS).prepare(case)


def test_merges_are_read_and_applied_at_once():
    assert parse_merges("17=1 53=1,2=17") == {17: 1, 53: 1, 2: 17}
    assert parse_merges("  ") == {}
    array = np.array([0, 1, 2, 3])
    assert merge_labels(array, {1: 2, 2: 1}).tolist() == [0, 2, 1, 3]
    assert array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("text", ["17", "17=a", "17=1 17=2", "a=1"])
def test_impossible_merges_are_refused(text):
    with pytest.raises(ConfigError, match="merge_labels has"):
        parse_merges(text)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint64])
def test_a_merged_label_may_be_larger_than_the_type_of_the_label_map(kind):
    array = np.array([[0, 1, 2]], kind)
    assert merge_labels(array, parse_merges("1=1001 5000=2")).tolist() == [[0, 1001, 2]]
    assert select_labels(array, (1001,), {1: 1001}, "map").tolist() == [[0, 1001, 0]]


def test_a_merged_label_that_no_training_can_hold_is_refused():
    assert parse_merges("1=32767") == {1: 32767}
    with pytest.raises(ConfigError, match=r"merge_labels has '2=32768'; .* at most 32767\. Write a smaller one"):
        parse_merges("1=2 2=32768")


@pytest.mark.parametrize("found", [{}, {"a": frozenset({1, 2})}])
def test_the_background_alone_is_refused(found):
    with pytest.raises(ConfigError, match="labels names 0 alone, the background"):
        choose_labels((0,), found)
    assert choose_labels((0, 1), found)[0] == (1,)


def test_labels_that_all_maps_have_are_used_and_the_others_told():
    found = {"a": frozenset({1, 2, 5}), "b": frozenset({1, 2})}
    assert choose_labels((), found) == ((1, 2), "Labels 5 are not in every label map and are left out; b lacks 5.")
    assert choose_labels((5, 1), found)[0] == (1, 5)
    assert "are used all the same; b lacks 5" in choose_labels((5, 1), found)[1]
    assert choose_labels((), {"a": frozenset({1})}) == ((1,), "")
    assert choose_labels((), {}) == ((), "")


def test_label_sets_that_do_not_match_are_told_in_one_sentence():
    with pytest.raises(ConfigError, match=r"share no label: a has 1, 2, c has 7"):
        choose_labels((), {"a": frozenset({1, 2}), "b": frozenset({2}), "c": frozenset({7})})


@pytest.mark.parametrize("labels", [(-1, 2), (40000,)])
def test_labels_outside_the_stored_type_are_refused(labels):
    with pytest.raises(ConfigError, match="outside 1 to 32767"):
        choose_labels(labels, {})


def test_other_labels_become_background():
    kept = select_labels(np.array([[0, 2, 17, 53, 99]]), (1, 2), {17: 1, 53: 1}, "map")
    assert kept.tolist() == [[0, 2, 1, 1, 0]]
    assert kept.dtype == np.int16
    with pytest.raises(ImageError, match="map has none of the labels 7 in the training space"):
        select_labels(np.array([1, 2]), (7,), {}, "map")
