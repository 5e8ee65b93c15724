"""Label maps to one channel per label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.errors import ConfigError
from ..config import TrainingConfig
from ..data.facts import DataFacts


def one_hot(labels: Tensor, values: Sequence[int], step: int = 1) -> Tensor:
    """Membership of every `step`-th voxel.

    Args:
        labels: (B, 1, *shape), label values.
        values: of the channels.
        step: voxels of the label map per voxel of the result, whose voxel i is voxel i * step.

    Returns:
        (B, len(values), *coarse), float32, 0 or 1.
    """
    coarse = labels[(..., *(slice(None, None, step) for _ in labels.shape[2:]))]
    channels = torch.as_tensor(list(values), dtype=labels.dtype, device=labels.device)
    return (coarse == channels.view(1, -1, *(1 for _ in labels.shape[2:]))).float()


def check_labels(config: TrainingConfig, facts: DataFacts) -> None:
    """Raise ConfigError where a recipe that learns from label maps has none."""
    if not facts.labels or not facts.labelled:
        raise ConfigError(
            f"The recipe {config.recipe} learns from label maps, and the data have no label. Give label_list, or "
            "images that hold their label maps."
        )
    if config.atlas and facts.atlas_labels is None:
        raise ConfigError(
            f"The recipe {config.recipe} compares the labels of images with those of the atlas, which has none. Give "
            "atlas_labels."
        )
