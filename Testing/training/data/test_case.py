"""A batch goes to a device as a whole."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.training.data.case import Batch


@pytest.fixture
def a_batch() -> Batch:
    image = torch.rand(1, 1, 4, 4, 4)
    return Batch(numbers=(3,), names=("a b",), fixed=image, moving=image, extras={"fixed_sum": image.sum()[None]})


def test_all_tensors_go_to_the_device(a_batch):
    moved = a_batch.to("meta")
    assert {moved.fixed.device.type, moved.moving.device.type, moved.extras["fixed_sum"].device.type} == {"meta"}
    assert (moved.numbers, moved.names, moved.fixed_labels) == ((3,), ("a b",), None)


@pytest.mark.parametrize(("device", "waits"), [("cpu", True), ("mps", True), ("cuda:0", False)])
def test_only_cuda_copies_while_the_training_goes_on(a_batch, monkeypatch, device, waits):
    calls = []
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *to, non_blocking=False: calls.append(non_blocking))
    a_batch.to(device)
    a_batch.to(torch.device(device))
    assert calls == [not waits] * 6
