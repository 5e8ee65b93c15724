"""Measures of agreement do not depend on how many threads computed them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from VoxelMorphLib.registration.agreement import _local_correlation


def test_local_correlation_is_the_same_for_any_number_of_threads():
    draws = np.random.default_rng(0)
    first, second = (gaussian_filter(draws.random((48, 50, 46)), 1).astype(np.float32) for _ in range(2))
    place = np.ones(first.shape, bool)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            found.append(_local_correlation(first, second, place))
    finally:
        torch.set_num_threads(before)
    assert np.ptp(found) < 1e-12 and found[0] > 0
