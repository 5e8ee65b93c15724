"""Networks that come with the extension, on real pairs that nobody trained them on."""

from __future__ import annotations

import numpy as np
import pytest
from support.shared_data import data_folder
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image, read_label_map
from VoxelMorphLib.core.metrics import overlap
from VoxelMorphLib.registration.register import register_pair

PAIR = ("006", "136")


def hippocampus(case: str, kind: str, read=read_image) -> Image:
    return read(data_folder() / "hippocampus" / kind / f"hippocampus_{case}.nii.gz")


def inverted(image: Image) -> Image:
    low, high = np.percentile(image.array, [0.5, 99.5])
    return image.with_array((low + high - np.clip(image.array, low, high)).astype(np.float32))


@pytest.mark.slow
def test_borders_align_two_hippocampi_whatever_their_contrasts() -> None:
    fixed, moving = (hippocampus(case, "images") for case in PAIR)
    truth, labels = (hippocampus(case, "labels", read_label_map) for case in PAIR)
    reached = []
    for image in (fixed, inverted(fixed)):
        found = register_pair(image, moving, "synth-any", RegistrationOptions(device="cpu"))
        moved = found.forward.resample(labels, truth.geometry, "nearest", 0)
        reached.append(overlap(truth.array, moved.array).mean)
        assert found.report.folded_percent == 0
    assert min(reached) > 0.7 and abs(reached[0] - reached[1]) < 0.02
