"""Lists of every kind name the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_files import write_list
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.core.io.image_lists import (
    bids_images,
    bids_label_map,
    bids_subject,
    is_bids,
    label_column,
    list_pairs,
    list_paths,
)


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "images"
    folder.mkdir(parents=True)
    for name in ("b.nii.gz", "a.nii.gz", "notes.txt", "c.mgz"):
        (folder / name).write_bytes(b"x")
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_text_file_has_prefix_and_suffix_and_belongs_to_its_folder(a_folder):
    source = write_list(a_folder / "list.txt", ["b", "", "# not me", "  a"])
    found = list_paths(source, "image_list", "./", ".nii.gz")
    assert found == [a_folder / "b.nii.gz", a_folder / "a.nii.gz"]


def test_a_folder_and_a_pattern_are_sorted(a_folder):
    assert names(list_paths(str(a_folder), "image_list")) == ["a.nii.gz", "b.nii.gz", "c.mgz"]
    assert names(list_paths(str(a_folder / "*.nii.gz"), "image_list")) == ["a.nii.gz", "b.nii.gz"]
    assert names(list_paths(str(a_folder.parents[1] / "**" / "c.*"), "image_list")) == ["c.mgz"]


def test_a_relative_pattern_counts_from_the_working_folder(a_folder, monkeypatch):
    monkeypatch.chdir(a_folder)
    assert list_paths("*.mgz", "image_list") == [a_folder / "c.mgz"]


def test_one_image_is_a_list(a_folder):
    assert names(list_paths(str(a_folder / "a.nii.gz"), "image_list")) == ["a.nii.gz"]


@pytest.mark.parametrize(("name", "comma"), [("list.csv", ","), ("list.csv", ";"), ("list.tsv", "\t")])
def test_a_table_has_columns_by_name(a_folder, name, comma):
    rows = [("age", "image", "labels"), ("70", "a.nii.gz", "x.nii"), ("71", "b.nii.gz", "y.nii")]
    source = write_list(a_folder / name, [comma.join(row) for row in rows])
    assert names(list_paths(source, "image_list")) == ["a.nii.gz", "b.nii.gz"]
    assert names(list_paths(source, "label_list")) == ["x.nii", "y.nii"]
    assert names(label_column(source)) == ["x.nii", "y.nii"]


def test_a_table_without_known_columns_uses_its_first(a_folder):
    source = write_list(a_folder / "list.csv", ["subject,age", "a.nii.gz,70"])
    assert names(list_paths(source, "image_list")) == ["a.nii.gz"]
    assert label_column(source) is None


@pytest.mark.parametrize("empty", ["b.nii,", "b.nii"])
def test_an_empty_cell_leaves_the_other_label_maps_with_their_images(tmp_path, empty):
    rows = ["image,labels", "a.nii,la.nii", empty, ",lost.nii", "c.nii,lc.nii"]
    source = write_list(tmp_path / "list.csv", rows)
    assert names(list_paths(source, "image_list")) == ["a.nii", "b.nii", "c.nii"]
    assert label_column(source) == [tmp_path / "la.nii", None, tmp_path / "lc.nii"]


def test_an_empty_column_names_no_label_map(tmp_path):
    assert label_column(write_list(tmp_path / "list.csv", ["image,labels", "a.nii,", "b.nii,"])) is None


@pytest.mark.parametrize("line", ["m.nii f.nii", "m.nii\tf.nii", "m.nii, f.nii"])
def test_pairs_are_moving_and_fixed(tmp_path, line):
    assert list_pairs(write_list(tmp_path / "pairs.txt", [line, ""]), "pair_list") == [
        (tmp_path / "m.nii", tmp_path / "f.nii")
    ]


def test_paths_with_spaces_are_told_apart_by_a_tab(tmp_path):
    source = write_list(tmp_path / "pairs.txt", ["my image.nii\tyour image.nii"])
    assert names(list_pairs(source, "pair_list")[0]) == ["my image.nii", "your image.nii"]


def test_columns_of_pairs_may_stand_in_any_order(tmp_path):
    source = write_list(tmp_path / "pairs.csv", ["fixed,moving", "f.nii,m.nii"])
    assert names(list_pairs(source, "pair_list")[0]) == ["m.nii", "f.nii"]


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"image_list 'nowhere.txt' does not exist"):
        list_paths("nowhere.txt", "image_list")
    with pytest.raises(ConfigError, match=r"pair_list 'nowhere.txt' does not exist"):
        list_pairs("nowhere.txt", "pair_list")


def test_an_empty_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="names no image"):
        list_paths(str(tmp_path), "image_list")
    with pytest.raises(ConfigError, match="names no image"):
        list_paths(write_list(tmp_path / "list.txt", [""]), "image_list")
    with pytest.raises(ConfigError, match="holds no pair"):
        list_pairs(write_list(tmp_path / "list.txt", [""]), "pair_list")
    with pytest.raises(ConfigError, match="has no rows"):
        list_paths(write_list(tmp_path / "list.csv", ["image"]), "image_list")


def test_a_binary_list_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\x89PNG\x81")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        list_paths(str(path), "image_list")
    path.write_bytes(b"ab\0")
    with pytest.raises(ConfigError, match="is no text file"):
        list_paths(str(path), "image_list")


def test_a_line_without_two_paths_is_named(tmp_path):
    source = write_list(tmp_path / "pairs.txt", ["a b", "a b c"])
    with pytest.raises(ConfigError, match=r"Line 2 of pair_list .* holds 3 paths"):
        list_pairs(source, "pair_list")


@pytest.fixture
def a_data_set(tmp_path: Path) -> Path:
    """Two subjects, one with sessions; label maps in two pipelines and beside an image."""
    root = tmp_path / "study"
    for name in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/func/sub-01_bold.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz",
        "sub-03/anat/sub-03_run-1_T1w.nii.gz",
        "derivatives/pipeline/sub-01/anat/sub-01_desc-aseg_dseg.nii.gz",
        "derivatives/pipeline/sub-01/anat/sub-01_dseg.nii.gz",
        "derivatives/pipeline/sub-01/anat/sub-01_space-MNI152_dseg.nii.gz",
        "derivatives/pipeline/sub-03/anat/sub-03_run-2_dseg.nii.gz",
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return root


def test_images_are_those_of_one_contrast(a_data_set):
    found = [path.name for path in list_paths(str(a_data_set), "image_list")]
    assert found == ["sub-01_T1w.nii.gz", "sub-02_ses-a_T1w.nii.gz", "sub-03_run-1_T1w.nii.gz"]


def test_another_contrast_serves_where_there_is_no_t1(a_data_set):
    for path in a_data_set.glob("**/*_T1w.nii.gz"):
        path.unlink()
    assert [path.name for path in bids_images(a_data_set)] == ["sub-01_T2w.nii.gz"]


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "derivatives/pipeline/sub-01/anat/sub-01_dseg.nii.gz"),
        ("sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz", "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz"),
        ("sub-03/anat/sub-03_run-1_T1w.nii.gz", None),
    ],
)
def test_label_maps_belong_to_subject_session_run_and_space(a_data_set, image, labels):
    assert bids_label_map(a_data_set / image) == (a_data_set / labels if labels else None)


def test_a_described_label_map_serves_where_it_is_the_only_one(a_data_set):
    (a_data_set / "derivatives/pipeline/sub-01/anat/sub-01_dseg.nii.gz").unlink()
    found = bids_label_map(a_data_set / "sub-01/anat/sub-01_T1w.nii.gz")
    assert found.name == "sub-01_desc-aseg_dseg.nii.gz"


def test_an_image_elsewhere_has_no_label_map(tmp_path):
    assert bids_label_map(tmp_path / "a.nii.gz") is None
    assert not is_bids(tmp_path)


def test_the_subject_is_found_in_name_and_folders():
    assert bids_subject(Path("sub-01/anat/sub-01_T1w.nii.gz")) == "sub-01"
    assert bids_subject(Path("sub-01/image.nii.gz")) == "sub-01"
    assert bids_subject(Path("image.nii.gz")) is None


def test_a_table_without_header_loses_no_image(a_folder):
    source = write_list(a_folder / "list.csv", ["b.nii.gz", "a.nii.gz"])
    with pytest.warns(UserWarning, match="has no header, so its first row counts too; its columns are taken for image"):
        assert names(list_paths(source, "image_list")) == ["b.nii.gz", "a.nii.gz"]
    assert label_column(source) is None


@pytest.mark.filterwarnings("ignore:image_list .* has no header")
def test_the_second_column_of_a_table_without_header_holds_labels(tmp_path):
    source = write_list(tmp_path / "list.csv", ["a.nii,a_seg.nii", "b.nii,b_seg.nii"])
    assert names(list_paths(source, "image_list")) == ["a.nii", "b.nii"]
    assert names(label_column(source)) == ["a_seg.nii", "b_seg.nii"]
    assert len(list_paths(write_list(tmp_path / "one.csv", ["a.nii"]), "image_list")) == 1


def test_pairs_without_header_lose_no_pair(tmp_path):
    source = write_list(tmp_path / "pairs.csv", ["m.nii,f.nii", "n.nii,g.nii"])
    with pytest.warns(UserWarning, match="taken for moving and fixed"):
        pairs = list_pairs(source, "pair_list")
    assert [names(pair) for pair in pairs] == [["m.nii", "f.nii"], ["n.nii", "g.nii"]]


@pytest.mark.parametrize("mark", ['"', "'"])
def test_quoted_lines_are_paths(a_folder, mark):
    source = write_list(a_folder / "list.txt", [f"{mark}b.nii.gz{mark}", "a.nii.gz"])
    assert names(list_paths(source, "image_list")) == ["b.nii.gz", "a.nii.gz"]


@pytest.mark.parametrize(
    "line",
    [
        "sp é/sub 0 é.nii.gz sp é/sub 1.nii.gz",
        "'sp é/sub 0 é.nii.gz' 'sp é/sub 1.nii.gz'",
        '"sp é/sub 0 é.nii.gz","sp é/sub 1.nii.gz"',
        "sp é/sub 0 é.nii.gz\tsp é/sub 1.nii.gz",
    ],
)
def test_pairs_may_have_spaces(tmp_path, line):
    ((moving, fixed),) = list_pairs(write_list(tmp_path / "pairs.txt", [line]), "pair_list")
    assert (moving, fixed) == (tmp_path / "sp é" / "sub 0 é.nii.gz", tmp_path / "sp é" / "sub 1.nii.gz")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_windows_programs_are_read(tmp_path, encoding):
    (tmp_path / "list.txt").write_bytes("ä.nii.gz\r\nb.nii.gz\r\n".encode(encoding))
    assert names(list_paths(str(tmp_path / "list.txt"), "image_list")) == ["ä.nii.gz", "b.nii.gz"]


def test_a_cell_without_end_is_no_traceback(tmp_path):
    source = write_list(tmp_path / "list.csv", ["image", '"' + "x" * 140_000])
    with pytest.raises(ConfigError, match=r"is no table \("):
        list_paths(source, "image_list")
