"""The lists of a configuration become cases and pairs that fit each other."""

from __future__ import annotations

import ntpath
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pytest
from support.training_files import a_data_config, write_list
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.io import names as names_module
from VoxelMorphLib.core.io.names import unique_names
from VoxelMorphLib.training.data.case import Case
from VoxelMorphLib.training.data.lists import (
    read_atlas,
    read_attributes,
    read_cases,
    read_pairs,
    read_validation,
    with_attributes,
)
from VoxelMorphLib.training.options import TrainingConfig


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    """Names of three images with label maps; nothing is opened."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            (tmp_path / folder / f"{name}.nii.gz").write_bytes(b"x")
    return tmp_path


def test_label_maps_follow_the_order_of_the_images(a_folder):
    cases = read_cases(a_data_config(a_folder))
    assert [(case.name, case.labels.name) for case in cases] == [(name, f"{name}.nii.gz") for name in "abc"]
    assert all(case.labels.parent.name == "labels" for case in cases)


def test_a_table_names_images_with_their_labels_and_prefixes_are_not_for_it(a_folder):
    rows = ["image,labels", "images/b.nii.gz,labels/b.nii.gz"]
    config = TrainingConfig(image_list=write_list(a_folder / "t.csv", rows), image_prefix="nonsense")
    (case,) = read_cases(config)
    assert (case.image, case.labels) == (a_folder / "images" / "b.nii.gz", a_folder / "labels" / "b.nii.gz")


def test_a_table_with_an_empty_label_cell_lends_no_image_the_label_map_of_another(a_folder):
    rows = ["image,labels", "a.nii.gz,la.nii.gz", "b.nii.gz,", "c.nii.gz,lc.nii.gz"]
    source = write_list(a_folder / "t.csv", rows)
    with pytest.warns(UserWarning, match=r"1 of 3 images have no label map beside them, such as .*b.nii.gz"):
        cases = read_cases(TrainingConfig(image_list=source))
    assert [(case.name, case.labels) for case in cases] == [("a", None), ("b", None), ("c", None)]
    with pytest.raises(ConfigError, match=r"1 of 3 images have no label map .*b.nii.gz. Give label_list"):
        read_cases(TrainingConfig(image_list=source, labels=(1,)))


def test_archives_bring_their_label_maps(tmp_path):
    np.savez(tmp_path / "a.npz", vol=np.zeros((2, 2, 2)), seg=np.zeros((2, 2, 2), int))
    config = TrainingConfig(image_list=str(tmp_path))
    assert read_cases(config)[0].labels == tmp_path / "a.npz"
    np.savez(tmp_path / "b.npz", vol=np.zeros((2, 2, 2)))
    with pytest.warns(UserWarning, match="1 of 2 images have no label map beside them"):
        assert [case.labels for case in read_cases(config)] == [None, None]
    with pytest.raises(ConfigError, match=r"1 of 2 images have no label map .*b.npz. Give label_list"):
        read_cases(TrainingConfig(image_list=str(tmp_path), labels=(1,)))


def test_pairs_alone_name_the_images_and_their_labels(a_folder):
    config = TrainingConfig(
        pair_list=write_list(a_folder / "pairs.txt", ["a c", "b a"]),
        image_prefix="images/",
        image_suffix=".nii.gz",
        label_list=write_list(a_folder / "labels.txt", ["a c", "b a"]),
        label_prefix="labels/",
        label_suffix=".nii.gz",
    )
    cases = read_cases(config)
    assert [case.name for case in cases] == ["a", "c", "b"]
    assert [case.labels.name[0] for case in cases] == ["a", "c", "b"]
    assert [(a.name, b.name) for a, b in read_pairs(config, cases)] == [("a", "c"), ("b", "a")]


def test_a_pair_of_unknown_images_is_refused(a_folder):
    pairs = write_list(a_folder / "pairs.txt", ["images/a.nii.gz images/z.nii.gz"])
    config = a_data_config(a_folder, pair_list=pairs)
    with pytest.raises(ConfigError, match=r"pair_list names .*z.nii.gz, which image_list does not"):
        read_pairs(config, read_cases(config))


def test_validation_pairs_share_the_label_maps_of_the_training(a_folder):
    pairs = write_list(a_folder / "pairs.txt", ["images/a.nii.gz other.nii.gz"])
    config = a_data_config(a_folder, validation_list=pairs)
    ((moving, fixed),) = read_validation(config, read_cases(config))
    assert (moving.name, moving.labels.parent.name) == ("a", "labels")
    assert (fixed.name, fixed.labels) == ("other", None)


def test_validation_label_maps_stand_in_their_own_list(a_folder):
    config = a_data_config(
        a_folder,
        validation_list=write_list(a_folder / "pairs.txt", ["images/a.nii.gz images/b.nii.gz"]),
        validation_label_list=write_list(a_folder / "labels.txt", ["la.nii.gz lb.nii.gz"]),
    )
    ((moving, fixed),) = read_validation(config, read_cases(config))
    assert (moving.labels.name, fixed.labels.name) == ("la.nii.gz", "lb.nii.gz")


def test_cases_of_other_folders_have_other_names(a_folder):
    pairs = write_list(a_folder / "pairs.txt", ["labels/a.nii.gz labels/b.nii.gz"])
    config = a_data_config(a_folder, validation_list=pairs, atlas=str(a_folder / "labels" / "c.nii.gz"))
    cases = read_cases(config)
    names = {case.name for pair in read_validation(config, cases) for case in pair}
    names |= {case.name for case in cases} | {read_atlas(config, cases).name}
    assert len(names) == 6


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a/s0.nii.gz", "a/s1.nii.gz"], ["s0", "s1"]),
        (["a/s0.nii.gz", "b/s0.nii.gz", "b/s1.nii"], ["a/s0", "b/s0", "s1"]),
        (["a/s0.nii.gz", "a/s0.nrrd", "a/s1.nii"], ["s0.nii.gz", "s0.nrrd", "s1"]),
        (["a/s0.nii.gz", "a/s0.nrrd", "b/s0.nrrd"], ["a/s0.nii.gz", "a/s0.nrrd", "b/s0"]),
        (["a/s0.nii", "a/s0.nrrd", "a/s0.nii.npz"], ["/data/a/s0.nii", "s0.nrrd", "s0.nii"]),
    ],
)
def test_a_name_tells_as_much_of_the_path_as_makes_it_unique(files, names):
    assert unique_names([Path("/data") / file for file in files]) == names


def test_files_on_two_drives_have_names(monkeypatch):
    monkeypatch.setattr(names_module, "os", SimpleNamespace(path=ntpath))
    paths = [PureWindowsPath(file) for file in ("C:/a/s0.nii", "D:/a/s0.nii", "D:/a/s1.nii")]
    assert unique_names(paths) == ["C:/a/s0", "D:/a/s0", "s1"]


def test_counts_that_differ_are_told(a_folder):
    config = a_data_config(a_folder, label_list=write_list(a_folder / "l.txt", ["labels/a.nii.gz"]))
    with pytest.raises(ConfigError, match="label_list names 1 label maps for the 3 images of image_list"):
        read_cases(config)


def test_an_image_named_twice_is_told(a_folder):
    source = write_list(a_folder / "list.txt", ["a.nii.gz", "b.nii.gz", "a.nii.gz"])
    with pytest.raises(ConfigError, match=r"names 1 images twice, such as .*a.nii.gz"):
        read_cases(TrainingConfig(image_list=source))


def test_no_list_is_told():
    with pytest.raises(ConfigError, match="no images to train on"):
        read_cases(TrainingConfig())


CASES = [Case(name, Path(f"sub-0{i}") / f"{name}.nii.gz") for i, name in enumerate(("a", "b", "c"))]


def a_table(folder: Path, *rows: str) -> str:
    return write_list(folder / "table.csv", ["image,age,sex", *rows])


@pytest.mark.parametrize("key", ["a", "a.nii.gz", "sub-00/a.nii.gz", "sub-00"])
def test_rows_are_found_by_name_file_path_and_subject(tmp_path, key):
    with pytest.warns(UserWarning, match=r"2 of 3 images are left out .*: b, c"):
        (case,) = with_attributes(CASES, a_table(tmp_path, f"{key},70,1"))
    assert (case.name, case.attributes) == ("a", (70.0, 1.0))


def test_no_row_for_any_image_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"names none of the 3 images; it has rows for x, the images are a, b, c"):
        with_attributes(CASES, a_table(tmp_path, "x,70,1"))


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (["a,old,1"], r"Row 2 .* has 'old' as age"),
        (["a,70,"], r"Row 2 .* has '' as sex"),
        (["a,nan,1"], r"Row 2 .* has 'nan' as age"),
        (["a,70"], r"Row 2 \(a\) .* has 1 numbers, but the header 2"),
        (["a,70,1", ",71,1"], r"Row 3 .* names no image"),
        (["a,70,1", "a,71,1"], r"Row 3 .* names a again"),
    ],
)
def test_a_bad_row_is_named(tmp_path, rows, text):
    with pytest.raises(ConfigError, match=text):
        read_attributes(a_table(tmp_path, *rows))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no.csv.* cannot be read \(No such file"):
        read_attributes(str(tmp_path / "no.csv"))


def test_equal_file_names_are_told_apart_by_their_folders():
    paths = [Path("s/one/mri/norm.mgz"), Path("s/two/mri/norm.mgz"), Path("s/two/other.nii.gz")]
    assert unique_names(paths) == ["one/mri/norm", "two/mri/norm", "other"]


def test_a_table_of_attributes_without_header_loses_no_image(tmp_path):
    (tmp_path / "ages.csv").write_text("a,70,1\nb,65,0\n")
    with pytest.warns(UserWarning, match="has no header, so its first row counts too"):
        table = read_attributes(str(tmp_path / "ages.csv"))
    assert table == {"a": (70.0, 1.0), "b": (65.0, 0.0)}
