"""Probabilistic atlases from files, from one label map, or from the mean of many, and what intensities they expect."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ...core.io.npz import read_npz
from ...core.smoothing import gaussian
from ..data.facts import DataFacts, Intensities
from ..recipes.atlas_segmentation import AtlasSegmentationConfig
from .labels import one_hot

#: Intensities run from 0 to 1; a label of one colour alone is not believed to be free of noise.
_SMALLEST_SIGMA = 0.05


def prob_atlas(config: AtlasSegmentationConfig, facts: DataFacts) -> Tensor:
    """The atlas that a configuration names.

    Returns:
        (L, *shape), float32, sums to 1; background first unless a file says otherwise.

    Raises:
        ConfigError: there is none, or its shape is not that of the training space.
        ImageError: the file cannot be read.
    """
    if config.prob_atlas:
        atlas = _read(config.prob_atlas, facts.shape)
    elif facts.atlas_labels is not None and facts.labels:
        atlas = gaussian(one_hot(facts.atlas_labels[None], (0, *facts.labels)), config.atlas_blur, "border")[0]
    elif facts.label_mean is not None:
        atlas = facts.label_mean.float()
    else:
        raise ConfigError(
            "The recipe atlas-segmentation needs a probabilistic atlas. Give prob_atlas, atlas and atlas_labels, or "
            "label_list."
        )
    return atlas / atlas.sum(0, keepdim=True).clamp(min=1e-6)


def atlas_labels(path: str) -> int:
    """How many labels the atlas in an .npz file has.

    Raises:
        ImageError: the file cannot be read.
    """
    return read_npz(path)[0].shape[-1]


def known_intensities(config: AtlasSegmentationConfig, facts: DataFacts, labels: int) -> Intensities | None:
    """What `init_stat` holds, or what the facts keep of it where the file is gone; None where nothing is known.

    Raises:
        ConfigError: the file fits another number of labels.
        ImageError: the file cannot be read.
    """
    if not config.init_stat or (facts.intensities and not Path(config.init_stat).is_file()):
        return facts.intensities
    return known_statistics(config.init_stat, labels)


def known_statistics(path: str, labels: int) -> Intensities:
    """Means and standard deviations of the labels' intensities.

    Args:
        path: .npz file with "init_mu" and "init_sigma".
        labels: how many there are.

    Raises:
        ConfigError: another number of them.
        ImageError: the file cannot be read.
    """
    means, sigmas = (tuple(read_npz(path, (key,))[0].ravel().tolist()) for key in ("init_mu", "init_sigma"))
    if len(means) != labels or len(sigmas) != labels:
        raise ConfigError(
            f"{path} knows {len(means)} means and {len(sigmas)} standard deviations, but the atlas has {labels} "
            "labels. Give one of each per label."
        )
    return means, sigmas


def estimated_statistics(image: Tensor, atlas: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (L,) of the image (1, *shape) under every label of the atlas (L, *shape)."""
    total = atlas.flatten(1).sum(1).clamp(min=1e-6)
    means = (atlas * image).flatten(1).sum(1) / total
    squares = (image - means.view(-1, *(1 for _ in image.shape[1:]))).square()
    return means, ((atlas * squares).flatten(1).sum(1) / total).sqrt().clamp(min=_SMALLEST_SIGMA)


def _read(path: str, shape: tuple[int, ...]) -> Tensor:
    array, _ = read_npz(path)
    if array.ndim != len(shape) + 1 or tuple(array.shape[:-1]) != tuple(shape):
        raise ConfigError(
            f"The atlas {path} has the shape {array.shape}, but the training space {tuple(shape)}. Give one of the "
            "shape (I, J, K, labels) on that grid, or set shape."
        )
    return torch.from_numpy(array).movedim(-1, 0).float().clamp(min=0).contiguous()
