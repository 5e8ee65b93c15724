"""Means of blocks in slabs are those of the whole volume, in any layout of the memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool3d
from VoxelMorphLib.core import reduced_volume as module
from VoxelMorphLib.core.reduced_volume import reduced_volume


@pytest.mark.parametrize("blocks", [(1, 1, 1), (2, 2, 2), (3, 1, 2), (7, 4, 5)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_slabs_give_what_the_whole_gives(blocks, order, monkeypatch):
    array = np.asarray(np.random.default_rng(0).integers(-50, 900, (23, 14, 11)), np.int16, order=order)
    clipped = np.clip(array.astype(np.float32), 0, 700)
    whole = avg_pool3d(torch.from_numpy(np.ascontiguousarray(clipped))[None], blocks, ceil_mode=True)[0].numpy()
    monkeypatch.setattr(module, "SLAB_VOXELS", 200)
    np.testing.assert_array_equal(reduced_volume(array, blocks, 0, 700), whole)


def test_the_array_is_left_as_it_was():
    array = np.ones((4, 4, 4), np.float32)
    reduced_volume(array, (1, 1, 1), 0, 0.5)[...] = 7
    assert (array == 1).all()
