"""What the data of a training are made of: cases on the disk, batches of tensors, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from ...core.attributes import Attribute

#: Means and standard deviations, one of each per label.
Intensities = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Case:
    """One image on the disk.

    Args:
        name: unique among the cases of a list.
        image: file.
        labels: label map, which may be the same .npz file; None without.
        attributes: numbers that describe the case.
    """

    name: str
    image: Path
    labels: Path | None = None
    attributes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Batch:
    """B samples; without atlas and pairs (templates, segmentation) `moving` and its labels are None.

    Args:
        numbers: of the samples since the training began; they seed everything random about the sample.
        names: of the images, "moving fixed" or "fixed" alone, for messages.
        fixed: (B, C, *shape), float32.
        moving: (B, C, *shape), or None.
        fixed_labels: (B, 1, *shape), int16, or None.
        moving_labels: (B, 1, *shape), int16, or None.
        attributes: (B, A), of the fixed images, or None.
        extras: (B, ...) by name, what a recipe derived from each case when it was loaded, of the fixed images under
            "fixed_..." and of the moving ones under "moving_...".
        skipped: names of files that could not be read and were replaced by others.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    fixed: Tensor
    moving: Tensor | None = None
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    attributes: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fixed)

    def to(self, device: str | torch.device) -> Batch:
        """The same batch on a device."""
        # Only CUDA orders the copy before the work that follows; elsewhere a tensor could be used before it is there.
        later = torch.device(device).type == "cuda"

        def moved(value: object) -> object:
            if isinstance(value, dict):
                return {name: moved(item) for name, item in value.items()}
            return value.to(device, non_blocking=later) if isinstance(value, Tensor) else value

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})


def join(batches: Sequence[Batch]) -> Batch:
    """Concatenate batches, which all have the same tensors."""

    def joined(values: list) -> object:
        first = values[0]
        if isinstance(first, Tensor):
            return torch.cat(values)
        if isinstance(first, dict):
            return {name: torch.cat([value[name] for value in values]) for name in first}
        return sum(values, ()) if isinstance(first, tuple) else first

    return Batch(**{f.name: joined([getattr(batch, f.name) for batch in batches]) for f in fields(Batch)})


@dataclass(frozen=True)
class DatasetInfo:
    """Shapes, labels and images that are the same for every batch.

    Args:
        shape: of the training space.
        channels: of the images.
        labels: values of the label maps, ascending, without 0; empty without label maps.
        labelled: the images that are trained on have label maps, not only those of the validation.
        attributes: how many numbers describe a case.
        described: what these numbers are, and their range in the cases that are trained on; empty without any.
        mean: (C, *shape), mean of up to 100 training images; None where no recipe needs it.
        label_mean: (1 + L, *shape), mean membership of the background and of each label in up to 100 training cases; as
            `mean`, and None without label maps.
        atlas: (C, *shape), or None.
        atlas_labels: (1, *shape), int16, or None.
        intensities: means and standard deviations of the intensities of an atlas's labels; None where they are
            unknown.
    """

    shape: tuple[int, ...]
    channels: int = 1
    labels: tuple[int, ...] = ()
    labelled: bool = True
    attributes: int = 0
    described: tuple[Attribute, ...] = ()
    mean: Tensor | None = None
    label_mean: Tensor | None = None
    atlas: Tensor | None = None
    atlas_labels: Tensor | None = None
    intensities: Intensities | None = None
