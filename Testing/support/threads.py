"""All processors for the few tests that compute something large; `Testing/conftest.py` gives the others one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

#: Environment of processes that compute something large.
ALL_THREADS = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}


@pytest.fixture
def all_threads() -> Iterator[None]:
    """torch computes on all processors during the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)
