"""The mark of tests that need a CUDA device."""

from __future__ import annotations

import pytest
import torch

missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def needs_cuda(test):
    """Skip a test, with the reason, where there is none."""
    return pytest.mark.gpu(missing(test))
