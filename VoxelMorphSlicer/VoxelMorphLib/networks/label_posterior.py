"""The labels of an image under an atlas with more labels than memory holds at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import GeometryError
from .atlas_segmentation import ProbAtlasSegmentation


@dataclass(frozen=True)
class Segmentation:
    """The most probable labels.

    Args:
        labels: (B, *shape), int64, channel of the atlas.
        confidence: (B, *shape), posterior probability of that label, 0 to 1.
    """

    labels: Tensor
    confidence: Tensor


def segment(
    network: ProbAtlasSegmentation, image: Tensor, atlas: Tensor, classes: Sequence[int], group: int = 21
) -> Segmentation:
    """Find the most probable label of every voxel, some labels at a time.

    Labels of one class share their intensities: the network sees the atlas of the classes, the labels its
    deformation and likelihoods.

    Args:
        network: knows as many labels as there are classes.
        image: (B, 1, *shape).
        atlas: (B or 1, F, *shape), probability of every label.
        classes: the class of every label, counted from 0.
        group: labels at a time.

    Raises:
        GeometryError: classes, atlas and network do not fit, or image and atlas do not.

    Source: Dalca et al., MICCAI 2019, arXiv:1904.11319.
    """
    with torch.no_grad():
        output = network(image, merge_labels(atlas, classes, network.moving_features))
        best = total = labels = None
        for start in range(0, len(classes), max(group, 1)):
            own = slice(start, start + max(group, 1))
            joint = output.log_likelihood[:, list(classes[own])] + network.log_prior(atlas[:, own], output.registration)
            largest, index = joint.max(dim=1)
            evidence = joint.logsumexp(dim=1)
            if best is None:
                best, total, labels = largest, evidence, index
                continue
            labels = torch.where(largest > best, index + start, labels)
            best, total = torch.maximum(best, largest), torch.logaddexp(total, evidence)
        return Segmentation(labels, (best - total).exp())


def merge_labels(atlas: Tensor, classes: Sequence[int], count: int) -> Tensor:
    """The atlas of the classes.

    Args:
        atlas: (B, F, *shape), probability of every label.
        classes: the class of every label, counted from 0.
        count: of classes.

    Returns:
        (B, count, *shape), the sums over each class.

    Raises:
        GeometryError: another number of labels, or a class beyond the count.
    """
    if atlas.shape[1] != len(classes) or not all(0 <= c < count for c in classes):
        raise GeometryError(
            f"The classes {list(classes)[:5]} of {len(classes)} labels do not fit an atlas of {atlas.shape[1]} labels "
            f"and a network of {count}; give every label one from 0 to {count - 1}."
        )
    merged = atlas.new_zeros(len(atlas), count, *atlas.shape[2:])
    return merged.index_add(1, torch.as_tensor(list(classes), device=atlas.device), atlas)
