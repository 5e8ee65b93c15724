"""A training begins only when the memory that is to keep its images suffices."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_files import a_data_config, write_cases
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.training import build
from VoxelMorphLib.training.build import build_training
from VoxelMorphLib.training.data.store import CaseStore
from VoxelMorphLib.training.recipes import make_config

#: Of three images with label maps of 16 x 16 x 16 voxels, float32 and int16.
SIZE = 3 * 16**3 * (4 + 2)


@pytest.fixture(scope="module")
def some_files(tmp_path_factory):
    """The lists of three small cases."""
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, count=3)
    lists = a_data_config(folder)
    return {"image_list": lists.image_list, "label_list": lists.label_list, "output_dir": lists.output_dir}


@pytest.fixture
def a_file_config(some_files):
    def make(recipe="pairwise", **values):
        return make_config(recipe, {**some_files, "encoder": (4, 4), "decoder": (4, 4), "shape": (16,) * 3, **values})

    return make


@pytest.fixture
def has_free(monkeypatch):
    """Pretends that so many bytes are free."""
    return lambda size: monkeypatch.setattr(build, "free_memory", lambda _device: size)


@pytest.mark.parametrize("devices", [1, 2])
def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_loaded(
    a_file_config, has_free, monkeypatch, devices
):
    monkeypatch.setattr(CaseStore, "images", lambda _store, case: pytest.fail(f"{case.name} is loaded"))
    has_free(devices * SIZE - 1)
    sentence = rf'take \d+ MiB of memory in {devices} process\(es\) and \d+ MiB is free. Set cache to "disk" or "none"'
    with pytest.raises(ConfigError, match=sentence):
        build_training(a_file_config(devices=devices))


@pytest.mark.parametrize(
    ("free", "values"),
    [(2 * SIZE, {"devices": 2}), (0, {"cache": "disk"}), (0, {"cache": "none"}), (None, {})],
    ids=["enough", "disk", "none", "unknown"],
)
def test_what_fits_or_is_not_kept_is_trained_on(a_file_config, has_free, free, values):
    has_free(free)
    _task, data = build_training(a_file_config(**values))
    assert data.bytes_in_memory() == SIZE


def test_all_that_is_kept_of_the_cases_is_counted(some_files, a_file_config):
    image = Path(some_files["image_list"]) / "case0.nii.gz"
    _task, data = build_training(a_file_config(atlas=str(image), validation_pairs=1))
    assert len(data.cases) == 2
    assert data.bytes_in_memory() == SIZE + 4 * 16**3
    assert data.bytes_in_memory(extras=10) == SIZE + 4 * 16**3 + 3 * 10


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_what_a_recipe_keeps_beside_the_images_is_counted(a_file_config, has_free, share):
    config = a_file_config("surfaces", surf_points=50, sdt_resize=share)
    task, data = build_training(config)
    prepared = data.store.load(data.cases[0])
    extras = sum(tensor.nbytes for tensor in prepared.extras.values())
    assert task.derived_bytes(config, data.shape, data.store.space.labels) == extras > 0
    has_free(SIZE + 3 * extras - 1)
    with pytest.raises(ConfigError, match="The prepared images take"):
        build_training(config)
    has_free(SIZE + 3 * extras)
    build_training(config)


def test_the_processes_of_torchrun_keep_the_images_too(a_file_config, has_free, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    has_free(2 * SIZE - 1)
    with pytest.raises(ConfigError, match=r"in 2 process\(es\)"):
        build_training(a_file_config())
