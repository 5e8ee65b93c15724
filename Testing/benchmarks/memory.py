"""Peak resident memory of a whole full-size registration in a process of its own."""

from __future__ import annotations

from VoxelMorphLib.core.config import PRECISIONS

from .child import run_child
from .row import Row
from .settings import Settings
from .subjects import PUBLISHED, published_file

_REGISTER = """
import sys, time
import numpy as np
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.register import register_pair
from benchmarks.settings import Settings
from benchmarks.subjects import image_pair

model, precision, *shape = sys.argv[1:]
axes = np.diag([-1.0, 1.0, 1.0, 1.0])[[0, 2, 1, 3]] * [1, -1, 1, 1]
moving, fixed = (
    Image(image[0, 0].numpy(), Geometry(image.shape[2:], axes), name)
    for image, name in zip(image_pair(Settings(shape=tuple(map(int, shape)))), ("moving", "fixed"))
)
began = time.perf_counter()
register_pair(fixed, moving, model, RegistrationOptions(affine="none", device="cpu", precision=precision))
seconds = time.perf_counter() - began
"""


def measure_memory(settings: Settings) -> list[Row]:
    """The published network on a pair of its own grid, imports, images and results included."""
    file = published_file(settings)
    if file is None:
        return [Row("memory", f"register with {PUBLISHED}", note=f"no published weights in {settings.weights}")]
    rows = []
    for precision in PRECISIONS:
        run = run_child(_REGISTER, [str(file), precision, *map(str, settings.shape)], settings.threads)
        note = (
            f"whole process, {'x'.join(map(str, settings.shape))}, {settings.threads} threads, {run['seconds']:.1f} s"
        )
        rows.append(Row("memory", f"register, {precision}", run["peak_bytes"] / 1e9, "GB peak", note=note))
    return rows
