"""Own models: listed under their id with checksum, never over another one unasked, and never half."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from VoxelMorphLib.core.errors import ConfigError, OutputError, WeightsError
from VoxelMorphLib.weights import own_models
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.own_models import add_to_catalogue, remove_from_catalogue
from VoxelMorphLib.weights.safetensors_file import write_model
from VoxelMorphLib.weights.store import sha256_of

ARGUMENTS = {"features": [[3, 4], [4, 3, 5]], "int_steps": 5}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "made" / "here"
    monkeypatch.setenv("VXM_CACHE", str(folder))
    return folder


def an_entry(name="mine"):
    return ModelEntry(
        name, "Mine", "Aligns hips.", "VxmDense", ARGUMENTS, file="mine.safetensors", format="safetensors"
    )


def a_model(folder, seed=0):
    torch.manual_seed(seed)
    path = folder / f"model{seed}.safetensors"
    write_model(build_network("VxmDense", ARGUMENTS), an_entry(), path)
    return path


def test_a_model_is_offered_with_size_and_checksum(tmp_path, cache):
    path = a_model(tmp_path)
    added = add_to_catalogue(an_entry(), path)
    assert load_catalogue()["mine"] == added
    assert (added.bytes, added.sha256) == (path.stat().st_size, sha256_of(path))
    path.unlink()
    _network, entry = load_network("mine")
    assert entry.title == "Mine"
    assert sorted(file.name for file in cache.iterdir()) == sorted([added.file, "models.json"])


def test_several_models_stand_side_by_side(tmp_path, cache):
    add_to_catalogue(an_entry("one"), a_model(tmp_path))
    add_to_catalogue(an_entry("two"), a_model(tmp_path, 1))
    assert [entry["id"] for entry in json.loads((cache / "models.json").read_text())["models"]] == ["one", "two"]


def test_an_own_model_gives_way_only_when_asked(tmp_path, cache):
    first = add_to_catalogue(an_entry(), a_model(tmp_path))
    with pytest.raises(ConfigError, match=r"You already have a model 'mine'\. Give this one another id"):
        add_to_catalogue(an_entry(), a_model(tmp_path, 1))
    assert load_catalogue()["mine"] == first
    second = add_to_catalogue(an_entry(), a_model(tmp_path, 1), replace=True)
    assert load_catalogue()["mine"] == second != first
    assert not (cache / first.file).exists() and (cache / second.file).is_file()


def test_the_same_file_may_replace_itself(tmp_path, cache):
    path = a_model(tmp_path)
    assert add_to_catalogue(an_entry(), path) == add_to_catalogue(an_entry(), path, replace=True)
    assert load_network("mine")[1].id == "mine"


def test_a_model_of_the_extension_never_gives_way(tmp_path, cache):
    with pytest.raises(ConfigError, match="The extension itself has a model 'optimise'"):
        add_to_catalogue(an_entry("optimise"), a_model(tmp_path), replace=True)
    assert not cache.exists()


def test_a_missing_file_is_refused(tmp_path, cache):
    with pytest.raises(WeightsError, match=r"absent\.safetensors cannot be read"):
        add_to_catalogue(an_entry(), tmp_path / "absent.safetensors")
    assert not cache.exists()


def test_a_damaged_catalogue_is_not_written_over(tmp_path, cache):
    cache.mkdir(parents=True)
    (cache / "models.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        add_to_catalogue(an_entry(), a_model(tmp_path))
    assert (cache / "models.json").read_text() == "{"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "file" / "models"))
    with pytest.raises(OutputError, match="cannot be made"):
        add_to_catalogue(an_entry(), a_model(tmp_path))


def test_a_catalogue_that_cannot_be_written_stays_as_it_was(tmp_path, cache, monkeypatch):
    first, other = add_to_catalogue(an_entry(), a_model(tmp_path)), a_model(tmp_path, 1)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own_models.json, "dumps", full)
    with pytest.raises(OutputError, match="No space left"):
        add_to_catalogue(an_entry(), other, replace=True)
    assert load_catalogue()["mine"] == first
    assert load_network("mine")[1] == first


def test_a_removed_model_leaves_nothing_and_the_others_alone(tmp_path, cache):
    add_to_catalogue(an_entry("one"), a_model(tmp_path))
    kept = add_to_catalogue(an_entry("two"), a_model(tmp_path, 1))
    remove_from_catalogue("one")
    assert "one" not in load_catalogue() and load_catalogue()["two"] == kept
    assert sorted(file.name for file in cache.iterdir()) == sorted([kept.file, "models.json"])
    add_to_catalogue(an_entry("one"), a_model(tmp_path))  # the id is free again


def test_only_own_models_are_removed(tmp_path, cache):
    add_to_catalogue(an_entry("one"), a_model(tmp_path))
    with pytest.raises(ConfigError, match=r"'optimise' is no model of yours. Choose one of one"):
        remove_from_catalogue("optimise")


def test_models_added_and_removed_at_once_are_all_kept_and_gone(tmp_path, cache):
    for number in range(3):
        add_to_catalogue(an_entry(f"old-{number}"), a_model(tmp_path))
    file = a_model(tmp_path)
    jobs = [lambda n=n: add_to_catalogue(an_entry(f"new-{n}"), file) for n in range(9)]
    jobs += [lambda n=n: remove_from_catalogue(f"old-{n}") for n in range(3)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()
    assert {name for name in load_catalogue() if name.startswith(("old", "new"))} == {f"new-{n}" for n in range(9)}
    assert not list(cache.glob("*.lock"))
