"""Measures of agreement do not depend on how many threads computed them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from VoxelMorphLib.registration.agreement import _local_correlation


def test_local_correlation_is_the_same_for_any_number_of_threads():
    draws = np.random.default_rng(0)
    images = [gaussian_filter(draws.random((40, 50, 46)), 1).astype(np.float32) for _ in range(5)]
    place = np.ones(images[0].shape, bool)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append([_local_correlation(images[0], other, place) for other in images[1:]])
    finally:
        torch.set_num_threads(before)
    assert np.ptp(found, axis=0).max() < 1e-12 and np.min(found) > 0
