"""Means of cases in the training space: of their images, and of where their labels are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .space import Prepared


class Means:
    """Sums that grow case by case.

    Args:
        labels: values whose mean is taken, without the background.
    """

    def __init__(self, labels: Sequence[int]):
        self._values = (0, *labels) if labels else ()
        self._image: Tensor | None = None
        self._labels: Tensor | None = None
        self._count = self._labelled = 0

    def add(self, case: Prepared) -> None:
        """Count one case; all have one shape."""
        image = case.image.double()
        self._image = image if self._image is None else self._image + image
        self._count += 1
        if case.labels is not None and self._values:
            members = torch.cat([case.labels == value for value in self._values]).double()
            self._labels = members if self._labels is None else self._labels + members
            self._labelled += 1

    @property
    def image(self) -> Tensor | None:
        """(C, *shape), or None before the first case."""
        return None if self._image is None else (self._image / self._count).float()

    @property
    def labels(self) -> Tensor | None:
        """(1 + L, *shape), mean membership of the background and each label; None without label maps."""
        return None if self._labels is None else (self._labels / self._labelled).float()
