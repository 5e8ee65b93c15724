"""Prepared cases are made once and never mixed up."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from support.training_files import LABELS, a_data_config, write_cases
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.training.data import store as store_module
from VoxelMorphLib.training.data.case import Case
from VoxelMorphLib.training.data.space import TrainingSpace
from VoxelMorphLib.training.data.store import FOLDER, CaseStore

SPACE = TrainingSpace(NetworkSpace(shape=(16, 16, 16)), LABELS)


class CountingSpace(TrainingSpace):
    """Counts what is prepared."""

    made: ClassVar[list] = []

    def prepare(self, case):
        self.made.append(case.name)
        return super().prepare(case)


@pytest.fixture
def a_case(tmp_path) -> Case:
    (image,) = write_cases(tmp_path, 1)
    return Case("case0", image, tmp_path / "labels" / image.name)


@pytest.fixture
def a_counting_space(monkeypatch) -> CountingSpace:
    monkeypatch.setattr(CountingSpace, "made", [])
    return CountingSpace(SPACE.space, SPACE.labels)


def doubled(image, labels):
    return {"double": 2 * image}


@pytest.mark.parametrize(("cache", "made"), [("memory", 2), ("disk", 1), ("none", 4)])
def test_a_cache_prepares_as_often_as_it_must(tmp_path, a_case, a_counting_space, cache, made):
    config = a_data_config(tmp_path, cache=cache)
    for _training in range(2):
        store = CaseStore(config, a_counting_space)
        first, second = store.load(a_case), store.load(a_case)
        assert torch.equal(first.image, second.image)
        assert torch.equal(first.labels, SPACE.prepare(a_case).labels)
    assert len(a_counting_space.made) == made


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_extras_are_derived_and_kept(tmp_path, a_case, cache):
    calls = []

    def derive(image, labels):
        calls.append(labels)
        return doubled(image, labels)

    store = CaseStore(a_data_config(tmp_path, cache=cache), SPACE, derive)
    for _time in range(2):
        assert torch.equal(store.load(a_case).extras["double"], 2 * store.images(a_case).image)
    assert len(calls) == (2 if cache == "none" else 1)
    assert store.images(a_case).extras == {}


def test_the_disk_is_private_and_survives_other_options_of_the_training(tmp_path, a_case, a_counting_space):
    config = a_data_config(tmp_path, cache="disk")
    CaseStore(config, a_counting_space, doubled).load(a_case)
    CaseStore(replace(config, lr=1e-3), a_counting_space, doubled).load(a_case)
    assert len(a_counting_space.made) == 1
    assert len(list((tmp_path / "out" / FOLDER).iterdir())) == 3


@pytest.mark.parametrize("change", ["file", "space", "labels", "merges"])
def test_what_is_kept_is_not_used_after_a_change(tmp_path, a_case, change):
    config = a_data_config(tmp_path, cache="disk")
    before = CaseStore(config, SPACE).load(a_case)
    space = SPACE
    if change == "file":
        write_image(a_blob_image(a_geometry(), seed=9), a_case.image)
        os.utime(a_case.image, (1, 1))
    else:
        other = {
            "space": {"space": NetworkSpace(shape=(8, 16, 16))},
            "labels": {"labels": (2,)},
            "merges": {"merges": {17: 2}},
        }
        space = replace(SPACE, **other[change])
    after = CaseStore(config, space).load(a_case)
    assert torch.equal(after.image, space.prepare(a_case).image)
    assert not (after.image.equal(before.image) and after.labels.equal(before.labels))


def test_a_damaged_file_is_made_anew(tmp_path, a_case):
    config = a_data_config(tmp_path, cache="disk")
    CaseStore(config, SPACE).load(a_case)
    (path,) = (tmp_path / "out" / FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(CaseStore(config, SPACE).load(a_case).image, SPACE.prepare(a_case).image)
    assert torch.load(path, weights_only=True)["image"].shape == (1, 16, 16, 16)


def test_a_file_with_a_program_in_it_is_made_anew(tmp_path, a_case):
    config = a_data_config(tmp_path, cache="disk")
    CaseStore(config, SPACE).load(a_case)
    (path,) = (tmp_path / "out" / FOLDER).iterdir()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")  # of TorchScript, which old versions of torch execute
    assert torch.equal(CaseStore(config, SPACE).load(a_case).image, SPACE.prepare(a_case).image)
    assert "archive/constants.pkl" not in zipfile.ZipFile(path).namelist()


def test_a_full_disk_costs_only_the_cache(tmp_path, a_case, monkeypatch):
    def fail(content, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.torch, "save", fail)
    store = CaseStore(a_data_config(tmp_path, cache="disk"), SPACE)
    with pytest.warns(UserWarning, match="not kept on the disk any more: .*No space left"):
        assert store.load(a_case).image.shape == (1, 16, 16, 16)
    assert list((tmp_path / "out" / FOLDER).iterdir()) == []
    store.load(a_case)


def test_what_workers_loaded_is_kept(tmp_path, a_case, a_counting_space):
    store = CaseStore(a_data_config(tmp_path), a_counting_space, doubled)
    loaded = CaseStore(a_data_config(tmp_path, cache="none"), SPACE, doubled).load(a_case)
    assert not store.holds(a_case)
    store.keep(a_case, loaded)
    assert store.holds(a_case)
    assert torch.equal(store.load(a_case).extras["double"], 2 * loaded.image)
    assert a_counting_space.made == []
