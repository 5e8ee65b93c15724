"""DataFacts: what a recipe must know of the data before it builds its network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: Means and standard deviations, one of each per label.
Intensities = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class DataFacts:
    """Shapes, labels and images that are the same for every batch.

    Args:
        shape: of the training space.
        channels: of the images.
        labels: values of the label maps, ascending, without 0; empty without label maps.
        labelled: the images that are trained on have label maps, not only those of the validation.
        attributes: how many numbers describe a case.
        mean: (C, *shape), mean of up to 100 training images; None where no recipe needs it.
        label_mean: (1 + L, *shape), mean membership of the background and of each label in up to 100 training cases; as
            `mean`, and None without label maps.
        atlas: (C, *shape), or None.
        atlas_labels: (1, *shape), int16, or None.
        intensities: means and standard deviations of the intensities of an atlas's labels; None where nobody knows
            them.
    """

    shape: tuple[int, ...]
    channels: int = 1
    labels: tuple[int, ...] = ()
    labelled: bool = True
    attributes: int = 0
    mean: Tensor | None = None
    label_mean: Tensor | None = None
    atlas: Tensor | None = None
    atlas_labels: Tensor | None = None
    intensities: Intensities | None = None
