"""The running mean: recurrence, cap, inference, state."""

from __future__ import annotations

import torch
from VoxelMorphLib.networks.mean_stream import MeanStream


def items(value: float, batch: int = 2) -> torch.Tensor:
    return torch.full((batch, 1, 3), value)


def test_the_mean_of_all_items_until_the_cap_is_reached():
    stream = MeanStream((1, 3), cap=4)
    torch.testing.assert_close(stream(items(1.0)), items(1.0) * 2 / 4)
    torch.testing.assert_close(stream(items(3.0)), items(2.0))
    torch.testing.assert_close(stream(items(8.0)), items(0.5 * 2 + 0.5 * 8))
    assert stream.count.item() == 6


def test_inference_returns_the_stored_mean_and_changes_nothing():
    stream = MeanStream((1, 3), cap=2)
    stream(items(5.0))
    stream.eval()
    torch.testing.assert_close(stream(items(100.0, batch=1)), items(5.0, batch=1))
    assert stream.count.item() == 2


def test_gradients_reach_the_newest_items_only():
    stream = MeanStream((1, 3), cap=4)
    first, second = items(1.0).requires_grad_(), items(2.0).requires_grad_()
    stream(first)
    stream(second).sum().backward()
    assert first.grad is None
    torch.testing.assert_close(second.grad, items(0.5))


def test_the_state_survives_saving():
    stream, other = MeanStream((1, 3), cap=4), MeanStream((1, 3), cap=4)
    stream(items(3.0))
    other.load_state_dict(stream.state_dict())
    assert torch.equal(other.eval()(items(0.0)), stream.eval()(items(0.0)))
