"""A folder becomes all of its pairs, or one pair with a template for each image."""

from __future__ import annotations

from pathlib import Path

import pytest
from VoxelMorphLib.batch.folder_pairs import FolderPairs
from VoxelMorphLib.batch.options import BatchOptions
from VoxelMorphLib.batch.pairs import Common
from VoxelMorphLib.batch.places import output_names, record_name
from VoxelMorphLib.core.errors import ConfigError


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def ids(pairs):
    found = [row.id for row in pairs.rows()]
    assert len(found) == pairs.count == len(set(found))
    return found


def test_every_ordered_pair(tmp_path):
    pairs = FolderPairs(str(images(tmp_path, "a.nii", "b.nii.gz", "c.mha", "notes.txt")), Common())
    assert ids(pairs) == ["b_to_a", "c_to_a", "a_to_b", "c_to_b", "a_to_c", "b_to_c"]


def test_to_a_template_that_may_lie_in_the_folder(tmp_path):
    folder = images(tmp_path, "a.nii", "b.nii", "t.nii")
    images(tmp_path, "labels/a.nii", "labels/b.nii", "labels/t.nii")
    pairs = FolderPairs(str(folder), Common(), tmp_path / "t.nii", str(tmp_path / "labels"), tmp_path / "labels/t.nii")
    assert ids(pairs) == ["a_to_t", "b_to_t"]
    second = list(pairs.rows())[1]
    assert {name: Path(path).relative_to(tmp_path).as_posix() for name, path in second.files.items()} == {
        "fixed": "t.nii",
        "moving": "b.nii",
        "fixedLabels": "labels/t.nii",
        "movingLabels": "labels/b.nii",
    }


def test_names_that_no_folder_can_have_are_changed_and_stay_different(tmp_path):
    folder = images(tmp_path, "<script>.nii", "script.nii", "a_to_b.nii", "a.nii", "b_to_c.nii", "c.nii")
    found = ids(FolderPairs(str(folder), Common()))
    assert not any(set(row_id) & set("<>/") for row_id in found)


def test_results_of_a_bids_folder_are_named_as_derivatives(tmp_path):
    folder = images(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "derivatives/seg/sub-02/anat/sub-02_dseg.nii.gz",
        "template.nii.gz",
    )
    pairs = FolderPairs(str(folder), Common(), tmp_path / "template.nii.gz")
    assert pairs.is_bids
    first, second = pairs.rows()
    names = output_names(first.place, BatchOptions(report=True), has_labels=True)
    assert names == {
        "moved": "sub-01/ses-a/anat/sub-01_ses-a_run-1_space-template_T1w.nii.gz",
        "moved_labels": "sub-01/ses-a/anat/sub-01_ses-a_run-1_space-template_dseg.nii.gz",
        "forward": "sub-01/ses-a/anat/sub-01_ses-a_run-1_from-T1w_to-template_mode-image_xfm.h5",
        "inverse": "sub-01/ses-a/anat/sub-01_ses-a_run-1_from-template_to-T1w_mode-image_xfm.h5",
        "report": "sub-01/ses-a/anat/sub-01_ses-a_run-1_space-template_T1w.html",
    }
    assert record_name(first.place).endswith("sub-01_ses-a_run-1_space-template_T1w.json")
    assert "movingLabels" not in first.files and second.files["movingLabels"].endswith("sub-02_dseg.nii.gz")


def test_all_pairs_of_a_bids_folder_have_files_of_their_own(tmp_path):
    folder = images(tmp_path, *(f"sub-0{n}/anat/sub-0{n}_{c}.nii" for n in (1, 2, 3) for c in ("T1w", "T2w")))
    rows = list(FolderPairs(str(folder), Common()).rows())
    names = [name for row in rows for name in output_names(row.place, BatchOptions(), False).values()]
    assert len(rows) == 6 and len(set(names)) == len(names) == 18


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"source": "nowhere"}, "all or folder 'nowhere' does not exist"),
        ({"template": "none.nii"}, "The template .*none.nii does not exist"),
        ({"labels": "labels"}, "labels names 1 label maps for the 2 images"),
        ({"source": "single"}, "single has 1 images to register. Give a folder with more of them"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, monkeypatch, given, sentence):
    images(tmp_path, "scans/a.nii", "scans/b.nii", "labels/a.nii", "single/a.nii")
    monkeypatch.chdir(tmp_path)
    given = {"template": Path(given["template"])} if "template" in given else given
    with pytest.raises(ConfigError, match=sentence):
        FolderPairs(**{"source": "scans", "common": Common(), **given})
