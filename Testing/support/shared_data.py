"""Where recorded references, published weights and real images lie; tests skip with the reason when they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FILE = REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphSlicer.py"


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set {variable} to a folder of that layout")
    return folder


def reference_folder() -> Path:
    """Recorded inputs and outputs of the original implementation (VXM_REFERENCE)."""
    return _folder("VXM_REFERENCE", "reference")


def weights_folder() -> Path:
    """Published weight files (VXM_WEIGHTS)."""
    return _folder("VXM_WEIGHTS", "weights")


def data_folder() -> Path:
    """Real images with labels (VXM_DATA)."""
    return _folder("VXM_DATA", "data")


def harness_folder() -> Path:
    """What the headers of CTK and Slicer declare (VXM_HARNESS)."""
    return _folder("VXM_HARNESS", "harness")
