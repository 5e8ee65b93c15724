"""Folders of small scans with label maps, and the arguments of a training on them that takes a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image

from support.made_up_training import a_scan

#: A network of a few thousand weights and six steps.
NETWORK = ["--encoder", "4,8", "--decoder", "8,8,4", "--device", "cpu"]
QUICK = [*NETWORK, "--epochs", "2", "--stepsPerEpoch", "3", "--lr", "1e-3"]


def write_scans(folder: Path, count: int = 6) -> Path:
    """`folder` with images/scan0.nii.gz and labels/scan0.nii.gz, and so on."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, labels = (tensor[0].numpy() for tensor in a_scan(number))
        geometry = Geometry(image.shape, np.eye(4))
        write_image(Image(image, geometry, f"scan{number}"), folder / "images" / f"scan{number}.nii.gz")
        write_image(LabelMap(labels, geometry, f"scan{number}"), folder / "labels" / f"scan{number}.nii.gz")
    return folder


def training(folder: Path, *more: str, recipe: str = "pairwise", labels: bool = False) -> list[str]:
    """Arguments of the train command."""
    lists = ["--imageList", str(folder / "images")] + ["--labelList", str(folder / "labels")] * labels
    return ["--recipe", recipe, *lists, "--outputDir", str(folder / "out"), *QUICK, *more]
