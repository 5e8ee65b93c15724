"""Files that cannot be used are replaced with a count and a reason, or end a strict training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.training_files import a_data_config, write_cases, write_list
from support.volumes import a_geometry
from VoxelMorphLib.core.errors import ConfigError, ImageError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.training.data.case import Batch
from VoxelMorphLib.training.data.training_data import TrainingData


def names(batches: list[Batch]) -> set[str]:
    return {case for batch in batches for name in batch.names for case in name.split()}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_file_that_fails_in_an_epoch_is_replaced(tmp_path, workers, cache):
    images = write_cases(tmp_path, 4)
    config = a_data_config(tmp_path, workers=workers, cache=cache)
    data, sound = TrainingData(config, 16), TrainingData(config, 16)
    expected = list(sound.batches(0, 10))
    images[2].write_bytes(images[2].read_bytes()[:200])
    if workers and cache == "memory":
        with pytest.warns(UserWarning, match="case2 is left out"):
            batches = list(data.batches(0, 10))
    else:
        batches = list(data.batches(0, 10))
    assert names(batches) == {"case0", "case1", "case3"}
    assert "damaged" in data.skipped["case2"]
    assert {name for batch in batches for name in batch.skipped} == {"case2"}
    for batch, other in zip(batches, expected):
        for name, wanted in zip(batch.names, other.names):
            assert name == wanted or "case2" in wanted


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_a_strict_training_ends_at_the_first_fault(tmp_path, monkeypatch, workers, cache):
    # So long the workers of the training before are waited for, which its fault keeps until now; else 5 s.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    images = write_cases(tmp_path, 3)
    data = TrainingData(a_data_config(tmp_path, workers=workers, cache=cache, strict=True), 16)
    images[1].write_bytes(images[1].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"case1.nii.gz is damaged") as caught:
        list(data.batches(0, 10))
    assert "Traceback" not in str(caught.value)


def test_strict_validation_and_mean_end_too(tmp_path):
    images = write_cases(tmp_path, 4)
    data = TrainingData(a_data_config(tmp_path, strict=True, validation_pairs=1), 16)
    for image in images:
        image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ImageError, match="is damaged"):
        list(data.validation())
    with pytest.raises(ImageError, match="is damaged"):
        data.info(needs_mean=True)


def test_a_training_without_readable_files_ends(tmp_path):
    images = write_cases(tmp_path, 3)
    data = TrainingData(a_data_config(tmp_path), 16)
    for image in images:
        image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"50 images in a row cannot be read, such as case\d: .*damaged"):
        list(data.batches(0, 10))


def test_a_mean_of_nothing_ends_the_training(tmp_path):
    images = write_cases(tmp_path, 3)
    data = TrainingData(a_data_config(tmp_path), 16)
    for image in images:
        image.write_bytes(image.read_bytes()[:200])
    with pytest.warns(UserWarning), pytest.raises(ImageError, match="None of the images can be read"):
        data.info(needs_mean=True)


def test_missing_files_are_left_out_from_the_start(tmp_path):
    images = write_cases(tmp_path, 3)
    lists = [*(str(image) for image in images), str(tmp_path / "gone.nii.gz")]
    config = a_data_config(tmp_path, labelled=False, image_list=write_list(tmp_path / "list.txt", lists))
    with pytest.warns(UserWarning, match=r"1 of 4 images are left out. gone: .*gone.nii.gz does not exist"):
        data = TrainingData(config, 16)
    assert (len(data.cases), list(data.skipped)) == (3, ["gone"])
    with pytest.raises(ImageError, match=r"gone.nii.gz does not exist"):
        TrainingData(a_data_config(tmp_path, labelled=False, image_list=config.image_list, strict=True), 16)


def test_a_list_of_missing_files_is_told_at_once(tmp_path):
    source = write_list(tmp_path / "list.txt", ["a.nii.gz", "b.nii.gz"])
    with pytest.raises(ImageError, match=r"None of the 2 images can be read. a: .*a.nii.gz does not exist"):
        TrainingData(a_data_config(tmp_path, labelled=False, image_list=source), 16)


def test_an_unreadable_atlas_ends_the_training(tmp_path):
    write_cases(tmp_path, 3)
    with pytest.raises(ImageError, match=r"atlas.nii.gz does not exist"):
        TrainingData(a_data_config(tmp_path, atlas=str(tmp_path / "atlas.nii.gz")), 16)


def test_images_with_nan_are_left_out(tmp_path):
    write_cases(tmp_path, 3)
    geometry = a_geometry()
    array = np.full(geometry.shape, np.nan, np.float32)
    write_image(Image(array, geometry), tmp_path / "images" / "case1.nii.gz")
    data = TrainingData(a_data_config(tmp_path), 16)
    with pytest.warns(UserWarning, match=r"^case1 is left out\. .* NaN or infinite voxels") as told:
        assert names(list(data.batches(0, 5))) == {"case0", "case2"}
    assert "NaN" in data.skipped["case1"]
    assert len(told) == 1


def test_label_sets_that_do_not_match_are_told(tmp_path):
    write_cases(tmp_path, 3)
    geometry, config = a_geometry(), a_data_config(tmp_path)
    labels = np.zeros(geometry.shape, np.int16)
    labels[5:9, 5:9, 5:9] = 17
    write_image(LabelMap(labels, geometry), tmp_path / "labels" / "case1.nii.gz")
    with pytest.warns(UserWarning, match=r"Labels 2, 53 are not in every label map .*case1.nii.gz lacks 2"):
        assert TrainingData(config, 16).info().labels == (17,)
    labels[labels == 17] = 99
    write_image(LabelMap(labels, geometry), tmp_path / "labels" / "case1.nii.gz")
    with pytest.raises(ConfigError, match=r"share no label: .*case0.nii.gz has 2, 17, 53, .*case1.nii.gz has 99"):
        TrainingData(config, 16)
    merged = a_data_config(tmp_path, merge_labels="17=1 53=1 2=1 99=1")
    assert TrainingData(merged, 16).info().labels == (1,)


def test_label_maps_that_nobody_asked_for_may_differ(tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        array = np.random.default_rng(value).random((12, 12, 12))
        np.savez(tmp_path / f"{name}.npz", vol=array, seg=np.full(array.shape, value))
    config = a_data_config(tmp_path, labelled=False, image_list=str(tmp_path))
    with pytest.warns(UserWarning, match=r"label maps beside the images are not used. .*share no label"):
        data = TrainingData(config, 4)
    assert data.info().labels == ()
    assert next(data.batches(0, 1)).fixed_labels is None


def test_cut_images_are_told_once(tmp_path):
    write_cases(tmp_path, 5)
    with pytest.warns(UserWarning) as caught:
        TrainingData(a_data_config(tmp_path, shape=(8, 16, 16)), 8)
    (warning,) = caught
    text = "5 images are larger than the training space (8, 16, 16) and are cut about their middle: case0, case1, case2"
    assert text in str(warning.message)


def test_workers_are_not_started_where_they_would_copy_the_task(tmp_path, monkeypatch):
    write_cases(tmp_path, 3)
    data = TrainingData(a_data_config(tmp_path, workers=2, cache="none"), 16)
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.warns(UserWarning, match="Workers load data on Linux only"):
        assert len(list(data.batches(0, 2))) == 2
