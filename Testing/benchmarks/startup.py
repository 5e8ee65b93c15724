"""How long a user waits before anything runs: imports and reading a model."""

from __future__ import annotations

from .child import run_child
from .clock import median
from .row import Row
from .settings import Settings
from .subjects import PUBLISHED, published_file

_IMPORT = "import time; began = time.perf_counter(); import {module}; seconds = time.perf_counter() - began"
_LOAD = """
import sys, time
from VoxelMorphLib.weights.load import load_network
began = time.perf_counter()
load_network(sys.argv[1])
seconds = time.perf_counter() - began
"""


def measure_startup(settings: Settings) -> list[Row]:
    """Imports in fresh interpreters, with and without torch, and reading the published weights."""
    rows = []
    for module, note in (
        ("VoxelMorphLib", "what Slicer pays when the module is opened"),
        ("torch", "for comparison"),
        ("VoxelMorphLib.registration.pipeline", "everything that a registration needs"),
    ):
        runs = [run_child(_IMPORT.format(module=module)) for _ in range(settings.repeats)]
        loaded = "torch loaded" if runs[0]["torch"] else "torch not loaded"
        rows.append(Row("startup", f"import {module}", _milliseconds(runs), "ms", note=f"{note}; {loaded}"))
    file = published_file(settings)
    if file is None:
        return [*rows, Row("startup", f"load {PUBLISHED}", note=f"no published weights in {settings.weights}")]
    runs = [run_child(_LOAD, [str(file)]) for _ in range(settings.repeats)]
    return [*rows, Row("startup", f"load {PUBLISHED}", _milliseconds(runs), "ms", note="checksum and reading included")]


def _milliseconds(runs: list[dict]) -> float:
    return 1000 * median([run["seconds"] for run in runs])
