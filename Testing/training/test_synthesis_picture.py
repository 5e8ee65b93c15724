"""The picture of synthesised pairs in README.

`VXM_SCREENSHOTS=1` makes it of heads at 2 mm and writes it to Resources/Screenshots; otherwise it is small and kept
nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from support.pictures import LARGEST_BYTES, beside, stacked, write_png
from support.repository import REPOSITORY
from support.shared_data import data_folder
from VoxelMorphLib.synth.label_tables import ASEG_STRUCTURES
from VoxelMorphLib.training.build import build_training
from VoxelMorphLib.training.data.case import Batch
from VoxelMorphLib.training.recipes import make_config
from VoxelMorphLib.training.tasks.synthmorph import SynthMorphLabelsTask

FOR_THE_RECORD = bool(os.environ.get("VXM_SCREENSHOTS"))
PAIRS = 4
SMALL = {"encoder": (4, 4), "decoder": (4, 4)}


def shown(image: torch.Tensor, size: int) -> np.ndarray:
    """(size, size, 3), uint8: the middle axial slice of (I, J, K), anterior above."""
    plane = image[:, :, int(0.6 * image.shape[2])].T.flip(0)
    side = max(plane.shape)
    padded = torch.zeros(side, side)
    first = [(side - n) // 2 for n in plane.shape]
    padded[first[0] : first[0] + plane.shape[0], first[1] : first[1] + plane.shape[1]] = plane
    large = torch.nn.functional.interpolate(padded[None, None], (size, size), mode="bilinear")[0, 0]
    return (255 * large).clamp(0, 255).byte().numpy()[..., None].repeat(3, -1)


def rows_of(task: SynthMorphLabelsTask, batches: list[Batch], size: int) -> np.ndarray:
    """The moving images of some pairs above the fixed ones."""
    pairs = [task.synthesise(batch) for batch in batches]
    assert all(made.image.min() >= 0 and made.image.max() <= 1 and made.image.std() > 0.01 for p in pairs for made in p)
    return stacked([beside([shown(pair[side].image[0, 0], size) for pair in pairs]) for side in (0, 1)])


@pytest.fixture
def heads() -> Path:
    return data_folder() / "label_maps_head"


def test_pairs_of_heads_and_shapes_are_drawn(heads, tmp_path):
    size = 120 if FOR_THE_RECORD else 40
    voxel = 2.0 if FOR_THE_RECORD else 8.0
    found = sorted(heads.glob("*.nii.gz"))[: 20 if FOR_THE_RECORD else 2]
    maps = tmp_path / "maps.txt"
    maps.write_text("\n".join(map(str, found)), encoding="utf-8")
    values = {"label_list": str(maps), "labels": ASEG_STRUCTURES, "voxel_size": voxel, "aligned": True, **SMALL}
    values |= {"bias_res": 80 / voxel, "strip": 0.5, "background_zero": 0.6, "output_dir": str(tmp_path)}
    task, data = build_training(make_config("synthmorph-labels", values))
    of_heads = rows_of(task, list(data.batches(0, PAIRS)), size)
    shape = (96,) * 3 if FOR_THE_RECORD else (32,) * 3
    task, data = build_training(
        make_config("synthmorph-shapes", {**SMALL, "shape": shape, "output_dir": str(tmp_path)})
    )
    picture = stacked([of_heads, rows_of(task, list(data.batches(0, PAIRS)), size)], gap=8)
    target = REPOSITORY / "Resources" / "Screenshots" if FOR_THE_RECORD else tmp_path
    write_png(picture, target / "synthesised-pairs.png")
    assert 1000 < (target / "synthesised-pairs.png").stat().st_size < LARGEST_BYTES
