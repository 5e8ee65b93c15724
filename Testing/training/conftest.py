"""Every training of these tests runs on one thread: sums come out alike in all processes, and small ones are faster."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny_training import TinyConfig


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def a_config(tmp_path: Path):
    """Makes configurations of tiny trainings, each name with a folder of its own."""

    def make(name: str = "run", **values) -> TinyConfig:
        return TinyConfig(output_dir=str(tmp_path / name), **values)

    return make
