"""Torch as on the Mac, where it was built for another NumPy: whatever would use NumPy raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch


def forbid_numpy(patch: pytest.MonkeyPatch) -> None:
    """Let torch take no array and give none, until the patch is undone."""

    def refuse(*_args, **_more):
        raise RuntimeError("Numpy is not available")

    patch.setattr(torch, "from_numpy", refuse)
    for name in ("numpy", "__array__"):
        patch.setattr(torch.Tensor, name, refuse)
    for name in ("tensor", "as_tensor", "asarray"):
        patch.setattr(torch, name, _refusing_arrays(getattr(torch, name)))


def _refusing_arrays(make):
    def refusing(data, *args, **more):
        if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, float):
            raise RuntimeError("Numpy is not available")
        return make(data, *args, **more)

    return refusing
