"""A small model of the recipe atlas-segmentation that knows the intensities of the blobs' labels, as a weights file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.networks.atlas_segmentation import ProbAtlasSegmentation
from VoxelMorphLib.registration.network_space import encode, training_grid
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

from support.volumes import a_blob_image, a_geometry, a_label_map

LABELS = (0, 2, 17, 53)
SPACE = NetworkSpace(voxel_size=2.0, orientation="RAS", shape=(16, 16, 16), multiple=4, intensity="minmax")


def a_subject(geometry: Geometry | None = None) -> tuple[Image, LabelMap]:
    """Blobs and the true labels of their voxels."""
    geometry = geometry or a_geometry("RAS", (16, 16, 16), 2.0)
    return a_blob_image(geometry), a_label_map(geometry)


def write_segmenting_model(path: Path, labels: tuple[int, ...] = LABELS, requires_centring: bool = False) -> Path:
    """Write the model; its atlas is vague, so that the intensities decide."""
    image, truth = a_subject()
    grid = training_grid(image, SPACE)
    assert grid.matches(truth.geometry)
    values = encode(image, grid, SPACE)[0, 0].numpy()
    masks = np.stack([truth.array == label for label in LABELS])
    arguments = {
        "features": [[4, 4], [4, 4]],
        "int_steps": 2,
        "labels": len(LABELS),
        "atlas_shape": list(SPACE.shape),
        "means": [float(values[mask].mean()) for mask in masks],
        "sigmas": [max(float(values[mask].std()), 0.02) for mask in masks],
    }
    torch.manual_seed(0)
    network = ProbAtlasSegmentation(**arguments)
    atlas = torch.as_tensor(0.5 * masks + 0.5 / len(LABELS), dtype=torch.float32)
    network.start_from(atlas)
    name = "ProbAtlasSegmentation"
    entry = ModelEntry(
        "seg",
        "Segments",
        "Finds blobs.",
        name,
        arguments,
        path.name,
        format="safetensors",
        space=SPACE,
        labels=labels,
        requires_centring=requires_centring,
    )
    write_model(network, entry, path)
    return path


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Least Dice of the labels of the truth, without background."""
    dice = [2 * ((found == n) & (truth == n)).sum() / ((found == n).sum() + (truth == n).sum()) for n in LABELS[1:]]
    return float(min(dice))
