"""The memory of a step: close to what tensors really take, and a sentence where it does not suffice."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from support.made_up_training import a_batch, a_config, losses, some_info
from torch.utils._python_dispatch import TorchDispatchMode
from VoxelMorphLib.core import memory
from VoxelMorphLib.core.errors import DeviceError
from VoxelMorphLib.training import memory_estimate
from VoxelMorphLib.training.memory_estimate import check_fits, format_bytes, free_memory, step_memory
from VoxelMorphLib.training.recipes import RECIPES, make_task


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that were made and are still needed."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self._known = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage):
        if storage._cdata not in self._known:
            self._known[storage._cdata] = storage.nbytes()
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, address):
        self.live -= self._known.pop(address, 0)


def peak_of_a_step(config):
    task = make_task(config, some_info())
    batch = a_batch(task, config.batch_size)
    with LiveTensors() as tensors:
        sum(losses(task, batch).values()).backward()
    return tensors.peak


@pytest.mark.parametrize("recipe", ["pairwise", "bidirectional", "probabilistic", "semisupervised", "template"])
def test_the_estimate_is_near_what_a_step_takes(recipe):
    config = a_config(recipe, batch_size=3)
    assert 0.9 * peak_of_a_step(config) < step_memory(config, some_info()) < 2 * peak_of_a_step(config)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_be_estimated(recipe):
    state = torch.get_rng_state()
    assert step_memory(a_config(recipe), some_info()) > 100_000
    assert torch.equal(torch.get_rng_state(), state)


def test_more_voxels_and_samples_need_more_in_proportion():
    one = step_memory(a_config("pairwise"), some_info(shape=(32, 32, 32)))
    assert step_memory(a_config("pairwise"), some_info(shape=(64, 32, 32))) == pytest.approx(2 * one, rel=0.1)
    assert step_memory(a_config("pairwise", batch_size=2), some_info(shape=(32, 32, 32))) == pytest.approx(
        2 * one, rel=0.1
    )


def test_what_does_not_fit_is_refused_with_remedies():
    config, info = a_config("pairwise"), some_info(shape=(4096, 4096, 4096))
    with pytest.raises(DeviceError, match=r"1 x 4096 x 4096 x 4096 voxels needs about .* GiB .*Choose a smaller shape"):
        check_fits(config, info, "cpu")
    check_fits(config, some_info(), "cpu")


def test_a_device_that_tells_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(memory_estimate, "free_memory", lambda device: None)
    check_fits(a_config("pairwise"), some_info(shape=(4096, 4096, 4096)), "mps")


def test_the_limit_of_a_container_counts(monkeypatch):
    monkeypatch.setattr(memory, "_linux_available", lambda: 100)
    monkeypatch.setattr(memory, "_group_available", lambda: 70)
    assert free_memory("cpu") == 70
    monkeypatch.setattr(memory, "_group_available", lambda: None)
    assert free_memory("cpu") == 100
    assert free_memory("mps") is None


def test_sizes_are_readable():
    assert [format_bytes(size) for size in (3 << 20, 1 << 30, 5 << 29)] == ["3 MiB", "1.0 GiB", "2.5 GiB"]


def test_an_atlas_from_a_file_is_counted_by_its_labels(tmp_path):
    """The file has the shape of the training, the estimate is made on smaller ones."""
    write_npz(tmp_path, labels=3)
    small = step_memory(a_config("atlas-segmentation", prob_atlas=str(tmp_path / "3.npz")), some_info(labels=(1, 2)))
    write_npz(tmp_path, labels=9)
    large = step_memory(a_config("atlas-segmentation", prob_atlas=str(tmp_path / "9.npz")), some_info(labels=(1, 2)))
    assert 0 < small < large


def write_npz(folder, labels):
    np.savez(folder / f"{labels}.npz", vol=np.full((*some_info().shape, labels), 1 / labels, np.float32))


def test_files_in_the_page_cache_count_as_free(tmp_path, monkeypatch):
    for name, text in {"max": "1000", "current": "900", "stat": "anon 100\ninactive_file 700\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert free_memory("cpu") == 800
