"""Peak resident memory and time of an optimisation of two very large volumes, in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom
from VoxelMorphLib.core.io.images import read_image

from .child import run_child
from .row import Row
from .settings import Settings

#: Voxels, and mm from one to the next, of a brain at the resolution of microscopes and photon-counting scanners.
SHAPE, SPACING = (512, 512, 300), (0.4, 0.45, 0.7)
FILES = ("oasis_b_t1.nii.gz", "oasis_a_t1.nii.gz")
PRESET = "balanced"

_REGISTER = """
import sys, time
import numpy as np
from VoxelMorphLib import register
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image

preset, spacing, *files = sys.argv[1:]
arrays = [np.load(file) for file in files]
axes = np.diag([*map(float, spacing.split(",")), 1.0])
fixed, moving = (Image(array, Geometry(array.shape, axes), "large") for array in arrays)
began = time.process_time()
register(fixed, moving, options=RegistrationOptions(refine=preset, device="cpu", budget_s=3000))
seconds = time.process_time() - began
"""


def measure_large(settings: Settings, shape: Sequence[int] = SHAPE) -> list[Row]:
    """Two brains enlarged to `shape`, imports, images and results included."""
    files = [settings.data / "brain" / name for name in FILES]
    absent = [file for file in files if not file.is_file()]
    if absent:
        return [Row("large", f"register, {PRESET}", note=f"{absent[0]} is absent; set VXM_DATA to its folder")]
    with tempfile.TemporaryDirectory() as folder:
        enlarged = [str(_enlarged(file, shape, Path(folder))) for file in files]
        run = run_child(_REGISTER, [PRESET, ",".join(map(str, SPACING)), *enlarged], settings.threads)
    size = "x".join(map(str, shape))
    return [
        Row("large", f"register, {PRESET}, {size}", run["peak_bytes"] / 1e9, "GB peak", note="whole process"),
        Row("large", f"register, {PRESET}, {size}", run["seconds"], "s CPU", note=f"{settings.threads} threads"),
    ]


def _enlarged(file: Path, shape: Sequence[int], folder: Path) -> Path:
    """An array file of int16, made here so that the child's peak does not count it."""
    array = read_image(file).array.astype(np.float32)
    larger = zoom(array, [n / old for n, old in zip(shape, array.shape)], order=1)
    path = folder / f"{file.name}.npy"
    np.save(path, np.ascontiguousarray(larger).astype(np.int16))
    return path
