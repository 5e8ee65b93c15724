"""The running covariance: recurrence, cap, first item, inference."""

from __future__ import annotations

import numpy as np
import torch
from VoxelMorphLib.networks.cov_stream import CovStream


def batches(count: int, batch: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 2, 3, generator=generator) for _ in range(count)]


def test_the_recurrence_of_the_original():
    stream, cap, covariance, seen = CovStream((2, 3), cap=5), 5, np.zeros((6, 6)), 0
    for items in batches(4, batch=2):
        rows = items.flatten(1).double().numpy()
        before = min(seen, cap)
        covariance = (covariance * (before - 1) + rows.T @ rows) / (before + 2 - 1)
        seen += 2
        expected = torch.from_numpy(min(1, seen / cap) * covariance).float()
        torch.testing.assert_close(stream(items), expected.expand(2, 6, 6))


def test_many_items_give_their_covariance():
    stream = CovStream((2, 3), cap=1e6)
    rows = torch.randn(4000, 2, 3, generator=torch.Generator().manual_seed(1))
    for items in rows.split(100):
        stream(items)
    expected = rows.flatten(1).T @ rows.flatten(1) / 3999
    torch.testing.assert_close(stream.covariance, expected, rtol=0.02, atol=0.002)


def test_a_single_first_item_is_finite():
    stream = CovStream((2, 3))
    (items,) = batches(1, batch=1)
    assert stream(items).isfinite().all()
    torch.testing.assert_close(stream.covariance, items.flatten(1).T @ items.flatten(1))


def test_inference_returns_the_state_and_keeps_it():
    stream = CovStream((2, 3), cap=2)
    first, second = batches(2, batch=2)
    trained = stream(first)
    assert torch.equal(stream.eval()(second), trained)
    assert stream.count.item() == 2


def test_gradients_reach_the_newest_items_only():
    stream = CovStream((2, 3), cap=4)
    first, second = (items.requires_grad_() for items in batches(2, batch=2))
    stream(first)
    stream(second).sum().backward()
    assert first.grad is None
    assert second.grad.abs().sum() > 0
