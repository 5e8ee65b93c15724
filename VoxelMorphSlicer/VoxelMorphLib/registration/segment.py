"""An image to the label map that a model of the recipe atlas-segmentation finds in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.devices import resolve_device
from ..core.errors import ConfigError, WeightsError
from ..core.image import Image, LabelMap, check_registrable
from ..core.image_resampling import MULTILABEL
from ..core.progress import Progress, silent, span
from ..core.tensors import as_array
from ..core.transform import IDENTITY
from ..networks.atlas_segmentation import ProbAtlasSegmentation, segment
from ..networks.registrar import Network
from ..weights.entry import ModelEntry
from ..weights.load import load_network
from .network_space import encode, training_grid


def segment_image(
    image: Image,
    model: str | Path,
    weights_dir: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> LabelMap:
    """Label an image: the model's atlas is deformed onto it, and the most probable label of every voxel is taken.

    Args:
        image: lies in the patient as the images of the training did.
        model: id of the catalogue, or a weights file, of the recipe atlas-segmentation.
        weights_dir: folder that is searched for the weights.
        device: that computes.
        progress: called with the finished fraction and a text; may raise `Cancelled`.

    Returns:
        The labels, numbered as in the training, on the grid of `image`; 0 beyond the training's field of view.

    Raises:
        ConfigError: the model segments nothing.
        ImageError: the image is constant, or has NaN.
        WeightsError: the weights cannot be had or read.
        DeviceError: no such device.
    """
    check_registrable(image, "labelled")
    device = resolve_device(device)
    network, entry = segmenting_network(model, weights_dir, device, span(progress, 0.0, 0.4))
    progress(0.4, f"Labelling on {device}")
    grid = training_grid(image, entry.space)
    tensor = encode(image, grid, entry.space).to(device)
    atlas = network.atlas
    assert atlas is not None
    found = as_array(segment(network, tensor, atlas[None], range(len(atlas))).labels[0])
    numbers = np.array(entry.labels or range(len(atlas)), np.int32)
    labels = LabelMap(numbers[found], grid, f"labels of {image.name}")
    progress(0.9, "Resampling the labels")
    moved = IDENTITY.resample(labels, image.geometry, MULTILABEL)
    assert isinstance(moved, LabelMap)
    return moved


def segmenting_network(
    model: str | Path, weights_dir: Path | None = None, device: str = "cpu", progress: Progress = silent
) -> tuple[ProbAtlasSegmentation, ModelEntry]:
    """The network of a model that labels images, and its entry.

    Raises:
        ConfigError: the model segments nothing.
        WeightsError: the weights cannot be had or read, or number other labels than they have.
    """
    network, entry = load_network(model, weights_dir, device, progress=progress)
    if not can_segment(network, entry):
        raise ConfigError(
            f"The model {entry.id} finds no labels. Choose one that was trained by the recipe atlas-segmentation, or "
            "give a label map."
        )
    assert isinstance(network, ProbAtlasSegmentation) and network.atlas is not None
    if len(entry.labels) not in (0, len(network.atlas)):
        raise WeightsError(
            f"The model {entry.id} numbers {len(entry.labels)} labels, but its atlas has {len(network.atlas)}. Export "
            "it again."
        )
    return network, entry


def can_segment(network: Network, entry: ModelEntry) -> bool:
    """Whether a network keeps an atlas of labels, on a grid that is known."""
    return isinstance(network, ProbAtlasSegmentation) and network.atlas is not None and entry.space.shape is not None
