"""The training: its steps beside those of the PyPI package, local correlation, data loading, synthesis, and the GPU."""

from __future__ import annotations

from .row import Row
from .settings import Settings
from .training_gpu import measure_gpu_steps
from .training_loading import measure_loading
from .training_ncc import measure_ncc
from .training_steps import measure_steps
from .training_synthesis import measure_synthesis


def measure_training(settings: Settings) -> list[Row]:
    """All rows of the topic."""
    return [
        *measure_steps(settings),
        *measure_ncc(settings),
        *measure_loading(settings),
        *measure_synthesis(settings),
        *measure_gpu_steps(settings),
    ]
