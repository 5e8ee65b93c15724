"""No case of a validation pair is trained on."""

from __future__ import annotations

import pytest
from support.training_files import a_data_config, write_cases, write_list
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.training.data.training_data import TrainingData


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, 6)
    return folder


def trained_on(data: TrainingData) -> set[str]:
    return {case for batch in data.batches(0, 20) for name in batch.names for case in name.split()}


def validated_on(data: TrainingData) -> list[str]:
    return [name for batch in data.validation() for name in batch.names]


def test_pairs_are_held_back_by_the_seed(a_folder):
    data = TrainingData(a_data_config(a_folder, validation_pairs=2), 16)
    names = validated_on(data)
    held = {case for name in names for case in name.split()}
    assert (len(names), len(held), len(data.cases)) == (2, 4, 2)
    assert not held & trained_on(data)
    assert names == validated_on(TrainingData(a_data_config(a_folder, validation_pairs=2), 16))
    assert names != validated_on(TrainingData(a_data_config(a_folder, validation_pairs=2, seed=1), 16))


def test_pairs_with_an_atlas_hold_back_one_case_each(a_folder, tmp_path):
    (atlas,) = write_cases(tmp_path, 1, geometry="LPS")
    data = TrainingData(a_data_config(a_folder, validation_pairs=2, atlas=str(atlas)), 16)
    assert len(data.cases) == 4
    assert all(name.endswith(str(atlas)) for name in validated_on(data))
    assert trained_on(data) - {str(atlas)} <= {case.name for case in data.cases}


def test_prefix_and_suffix_complete_only_what_names_no_file(a_folder, tmp_path):
    """Lists of validation pairs often come from elsewhere, and name whole paths."""
    images, labels = (sorted((a_folder / name).iterdir()) for name in ("images", "labels"))
    lines = [f"{images[4]} {images[5]}", "case3 case2"]
    config = a_data_config(
        a_folder,
        image_list=write_list(tmp_path / "images.txt", ["case0", "case1", str(images[2]).removesuffix(".nii.gz")]),
        label_list=write_list(tmp_path / "labels.txt", ["case0", "case1", "case2"]),
        validation_list=write_list(tmp_path / "pairs.txt", lines),
        validation_label_list=write_list(tmp_path / "p.txt", [f"{labels[4]} {labels[5]}", "case3 case2"]),
        image_prefix=f"{a_folder}/images/",
        image_suffix=".nii.gz",
        label_prefix=f"{a_folder}/labels/",
        label_suffix=".nii.gz",
    )
    with pytest.warns(UserWarning, match="1 of 3 images are not trained on because validation_list uses them"):
        data = TrainingData(config, 16)
    assert validated_on(data) == ["case4 case5", "case3 case2"]
    assert [case.image for case in data.cases] == images[:2]


def test_listed_pairs_lose_every_pair_of_a_held_back_case(a_folder):
    lines = ["case0 case1", "case1 case2", "case3 case4", "case4 case5"]
    config = a_data_config(
        a_folder,
        labelled=False,
        image_list="",
        pair_list=write_list(a_folder / "pairs.txt", lines),
        image_prefix="images/",
        image_suffix=".nii.gz",
        validation_pairs=1,
    )
    data = TrainingData(config, 16)
    (name,) = validated_on(data)
    assert name in lines
    assert len(data.pairs) == 2
    assert not set(name.split()) & trained_on(data)


def test_cases_of_the_validation_list_are_taken_out_of_the_training(a_folder):
    pairs = write_list(a_folder / "val.txt", ["images/case0.nii.gz images/case1.nii.gz"])
    with pytest.warns(UserWarning, match="2 of 6 images are not trained on because validation_list uses them"):
        data = TrainingData(a_data_config(a_folder, validation_list=pairs), 16)
    assert validated_on(data) == ["case0 case1"]
    assert trained_on(data) <= {"case2", "case3", "case4", "case5"}
    batch = next(data.validation())
    assert batch.fixed.shape == batch.moving.shape == (1, 1, 16, 16, 16)
    assert batch.moving_labels is not None and batch.fixed_labels is not None


def test_labels_of_the_validation_alone_do_not_label_the_training(a_folder):
    config = a_data_config(
        a_folder,
        labelled=False,
        validation_list=write_list(a_folder / "val.txt", ["images/case0.nii.gz images/case1.nii.gz"]),
        validation_label_list=write_list(a_folder / "vl.txt", ["labels/case0.nii.gz labels/case1.nii.gz"]),
    )
    with pytest.warns(UserWarning, match="2 of 6"):
        data = TrainingData(config, 16)
    info = data.info()
    assert info.labels and not info.labelled
    assert next(data.batches(0, 1)).fixed_labels is None
    assert next(data.validation()).fixed_labels is not None


def test_too_many_pairs_are_refused(a_folder):
    with pytest.raises(ConfigError, match="validation_pairs is 4, but 6 images give only 3 pairs"):
        TrainingData(a_data_config(a_folder, validation_pairs=4), 16)
    with pytest.raises(ConfigError, match="needs two different images, but 0 images are left to train on besides 3"):
        TrainingData(a_data_config(a_folder, validation_pairs=3), 16)


def test_a_validation_list_of_missing_files_is_refused(a_folder):
    pairs = write_list(a_folder / "gone.txt", ["gone.nii.gz images/case1.nii.gz"])
    with pytest.warns(UserWarning, match="1 of 7"), pytest.raises(ConfigError, match=r"No pair of .*gone.txt' can be"):
        TrainingData(a_data_config(a_folder, validation_list=pairs), 16)


def test_an_unreadable_validation_pair_is_left_out(tmp_path):
    images = write_cases(tmp_path, 6)
    lines = ["images/case0.nii.gz images/case1.nii.gz", "images/case2.nii.gz images/case3.nii.gz"]
    config = a_data_config(tmp_path, validation_list=write_list(tmp_path / "val.txt", lines))
    with pytest.warns(UserWarning, match="4 of 6"):
        data = TrainingData(config, 16)
    images[1].write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="case1 is left out"):
        assert validated_on(data) == ["case2 case3"]
    assert "case1" in data.skipped
    images[2].write_bytes(b"damaged")
    data.store.memory.clear()
    with pytest.warns(UserWarning), pytest.raises(ImageError, match="No validation pair can be read"):
        validated_on(data)
