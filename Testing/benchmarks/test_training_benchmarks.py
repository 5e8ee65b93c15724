"""The benchmarks of the training run on tiny images and skip what is absent; speeds themselves are never tested."""

from __future__ import annotations

import sys

import pytest
import torch
from VoxelMorphLib.core.losses.ncc import ncc_loss

from benchmarks import training_loading, training_ncc, training_steps, training_synthesis
from benchmarks.settings import Settings
from benchmarks.subjects import image_pair
from benchmarks.training_gpu import measure_gpu_steps
from benchmarks.training_subjects import (
    AS_THE_OTHER,
    DEFAULT_LEVELS,
    OTHER,
    OURS,
    MultiplyAdds,
    count_multiply_adds,
    levels_for,
    make_step,
    missing_package,
    network_named,
)

TINY = (16, 16, 16)


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_multiply_adds_of_a_convolution_are_its_outputs_times_its_kernel():
    with MultiplyAdds() as counted:
        torch.nn.Conv3d(2, 5, 3, padding=1)(torch.zeros(3, 2, 4, 6, 8))
    assert counted.total == 3 * 5 * 4 * 6 * 8 * 2 * 27


@pytest.mark.parametrize("shape", [(48, 64, 48), (64, 64, 64)])
def test_both_packages_convolve_equally_much(shape):
    """16 features on every level; below the finest the two networks have the same convolutions."""
    levels = levels_for(shape)
    ours = count_multiply_adds(network_named(OURS, levels), TINY if levels == 4 else (32, 32, 32))
    if missing_package():
        pytest.skip(missing_package())
    other = count_multiply_adds(network_named(OTHER, levels), TINY if levels == 4 else (32, 32, 32))
    assert ours == pytest.approx(other, rel=0.02)


@pytest.mark.parametrize(("shape", "levels"), [((48, 64, 48), 4), ((160, 192, 224), DEFAULT_LEVELS), ((8, 16, 16), 3)])
def test_networks_have_as_many_levels_as_the_shape_allows(shape, levels):
    assert levels_for(shape) == levels


@pytest.mark.parametrize("name", [OURS, AS_THE_OTHER, OTHER])
def test_a_step_changes_the_weights(name, monkeypatch):
    if name == OTHER and missing_package():
        pytest.skip(missing_package())
    network = network_named(name, levels_for(TINY))
    monkeypatch.setattr("benchmarks.training_subjects.network_named", lambda *_: network)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    make_step(name, TINY, 2)()
    assert any((old != new).any() for old, new in zip(before, network.parameters()))


@pytest.mark.slow
def test_steps_are_measured_without_the_other_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "voxelmorph", None)
    monkeypatch.setattr(training_steps, "CASES", ((TINY, 1), (TINY, 2)))
    monkeypatch.setattr(training_steps, "run_child", lambda _code, arguments: {"peak_bytes": 10**6 * int(arguments[2])})
    rows = training_steps.measure_steps(Settings(repeats=1))
    assert [row.unit for row in rows] == ["steps/s CPU"] * 4 + ["MB peak"] * 4 + [""]
    assert [row.value for row in rows[4:8]] == [3.0] * 4
    assert "pip install --no-deps voxelmorph==0.3.4" in rows[-1].note


def test_correlation_by_a_filter_of_ones_is_the_same_loss():
    moved, fixed = image_pair(Settings(shape=TINY))
    assert training_ncc.ncc_by_ones(fixed, moved).item() == pytest.approx(ncc_loss(fixed, moved).item(), rel=1e-4)


def test_correlation_is_measured_at_two_sizes(monkeypatch):
    monkeypatch.setattr(training_ncc, "SMALL", TINY)
    rows = training_ncc.measure_ncc(Settings(shape=(16, 16, 32), repeats=1))
    assert len(rows) == (4 if missing_package() else 6)
    for row in rows:
        assert row.value > 0
        assert (row.ratio is None) == row.name.startswith("NCC and")


def test_loading_is_compared_with_the_steps(monkeypatch):
    monkeypatch.setattr(training_loading, "SHAPE", TINY)
    monkeypatch.setattr(training_loading, "BATCHES", 3)
    for row in training_loading.measure_loading(Settings(repeats=1)):
        assert row.unit == "batches/s CPU"
        assert row.ratio > 0


def test_steps_on_a_gpu_are_skipped_without_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (row,) = measure_gpu_steps(Settings())
    assert (row.value, row.note) == (None, "this machine has no CUDA device")


def test_synthesis_is_compared_with_the_originals_order_and_with_the_step(monkeypatch):
    monkeypatch.setattr(training_synthesis, "SHAPE", TINY)
    monkeypatch.setattr(training_synthesis, "STEP_SHAPE", TINY)
    rows = training_synthesis.measure_synthesis(Settings(repeats=1))
    assert [row.against for row in rows] == ["the original's order"] * 3 + ["the steps a second"]
    assert rows[0].ratio == 1 and all(row.value > 0 and row.ratio > 0 for row in rows)
