"""Images and label maps of BIDS folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from VoxelMorphLib.training.data import bids
from VoxelMorphLib.training.data.files import list_paths


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
    assert [path.name for path in bids.images(a_data_set)] == ["sub-01_T2w.nii.gz"]


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "derivatives/pipeline/sub-01/anat/sub-01_dseg.nii.gz"),
        ("sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz", "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz"),
        ("sub-03/anat/sub-03_run-1_T1w.nii.gz", None),
    ],
)
def test_label_maps_belong_to_subject_session_run_and_space(a_data_set, image, labels):
    assert bids.label_map(a_data_set / image) == (a_data_set / labels if labels else None)


def test_a_described_label_map_serves_where_it_is_the_only_one(a_data_set):
    (a_data_set / "derivatives/pipeline/sub-01/anat/sub-01_dseg.nii.gz").unlink()
    found = bids.label_map(a_data_set / "sub-01/anat/sub-01_T1w.nii.gz")
    assert found.name == "sub-01_desc-aseg_dseg.nii.gz"


def test_an_image_elsewhere_has_no_label_map(tmp_path):
    assert bids.label_map(tmp_path / "a.nii.gz") is None
    assert not bids.is_bids(tmp_path)


def test_the_subject_is_found_in_name_and_folders():
    assert bids.subject(Path("sub-01/anat/sub-01_T1w.nii.gz")) == "sub-01"
    assert bids.subject(Path("sub-01/image.nii.gz")) == "sub-01"
    assert bids.subject(Path("image.nii.gz")) is None
