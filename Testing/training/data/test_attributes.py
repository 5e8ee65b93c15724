"""Tables of numbers that describe cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_files import write_list
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training.data.attributes import read_attributes, with_attributes
from VoxelMorphLib.training.data.case import Case, unique_names

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
    with pytest.raises(ConfigError, match="cannot be read as text"):
        read_attributes(str(tmp_path / "no.csv"))


def test_equal_file_names_are_told_apart_by_their_folders():
    paths = [Path("s/one/mri/norm.mgz"), Path("s/two/mri/norm.mgz"), Path("s/two/other.nii.gz")]
    assert unique_names(paths) == ["one/mri/norm", "two/mri/norm", "other"]
