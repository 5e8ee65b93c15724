"""Whether loading keeps up: batches per second of the training data against steps per second of the training."""

from __future__ import annotations

import tempfile
from collections import deque
from pathlib import Path

import numpy as np
import torch
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.training.data.training_data import TrainingData
from VoxelMorphLib.training.recipes import PairwiseConfig

from .clock import processor_seconds
from .row import Row
from .settings import Settings
from .training_steps import measure_paces
from .training_subjects import OURS, levels_for, make_step

SHAPE = (48, 64, 48)
IMAGES = 8
#: Batches that are timed, of one pair each, so that every image has been drawn by the end.
BATCHES = 60


def measure_loading(settings: Settings) -> list[Row]:
    """Compressed NIfTI images, from memory and read anew for every batch, in the training process."""
    torch.set_num_threads(1)
    steps = 1 / measure_paces({OURS: make_step(OURS, SHAPE, 1)}, settings.repeats)[OURS].processor
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder))
        kinds = (
            ("first pass, cache in memory", "memory", 1),
            ("cache in memory", "memory", 2),
            ("no cache", "none", 1),
        )
        return [_row(name, _batches_per_second(Path(folder), cache, passes), steps) for name, cache, passes in kinds]


def _row(name: str, batches: float, steps: float) -> Row:
    note = (
        f"{'x'.join(map(str, SHAPE))}, {IMAGES} images of .nii.gz, no workers; "
        f"{steps:.2f} steps of {OURS} a CPU second, 1 thread"
    )
    return Row("training", f"loading, {name}", batches, "batches/s CPU", "the steps a second", batches / steps, note)


def _batches_per_second(folder: Path, cache: str, passes: int) -> float:
    """Per second of the processor, in the last of some passes over the same samples."""
    config = PairwiseConfig(image_list=str(folder), cache=cache, output_dir=str(folder / "out"))
    data = TrainingData(config, 2 ** levels_for(SHAPE))
    for _ in range(passes):
        seconds = processor_seconds(lambda: deque(data.batches(0, BATCHES), maxlen=0))
    return BATCHES / seconds


def _write_images(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        voxels = generator.integers(0, 1000, SHAPE).astype(np.float32)
        write_image(Image(voxels, Geometry(SHAPE, np.eye(4)), f"image{number}"), folder / f"image{number}.nii.gz")
