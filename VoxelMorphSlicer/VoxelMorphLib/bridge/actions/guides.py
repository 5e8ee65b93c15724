"""Landmarks and segmentations of both volumes that start or pull a registration, as fields of its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ...core.errors import ImageError
from ...core.image import Image, LabelMap
from ...core.transform import IDENTITY
from ...evaluation.structures import Sampler, Structure, matched
from ..scene.landmarks import Ignored, landmark_pairs
from .structures import structures_from_node


@dataclass(frozen=True, eq=False)
class Marked:
    """What was marked in both volumes; of each kind both nodes, or none.

    Args:
        fixed_landmarks, moving_landmarks: markups of the same points, by label, else by order.
        fixed_structures, moving_structures: segmentations or label maps; structures of the same name, else of the same
            label number, belong together.
    """

    fixed_landmarks: slicer.vtkMRMLMarkupsNode | None = None
    moving_landmarks: slicer.vtkMRMLMarkupsNode | None = None
    fixed_structures: slicer.vtkMRMLNode | None = None
    moving_structures: slicer.vtkMRMLNode | None = None

    def read(self, fixed: Image, moving: Image, fixed_ignored: Ignored, moving_ignored: Ignored) -> dict[str, Any]:
        """The fields of a `RegistrationRequest` by name.

        Args:
            fixed, moving: the volumes, in world coordinates.
            fixed_ignored, moving_ignored: transforms that do not count where nodes of that side lie under them.

        Raises:
            ImageError: only one of two nodes, landmarks that cannot be paired, or no common structure.
            GeometryError: a segmentation under a non-linear parent.
        """
        fields: dict[str, Any] = {}
        if _are_given(self.fixed_landmarks, self.moving_landmarks, "landmarks"):
            pairs = landmark_pairs(self.fixed_landmarks, self.moving_landmarks, moving_ignored, fixed_ignored)
            fields.update(fixed_landmarks=pairs.fixed, moving_landmarks=pairs.moving)
        if _are_given(self.fixed_structures, self.moving_structures, "segmentation"):
            groups = (
                structures_from_node(self.fixed_structures, *fixed_ignored),
                structures_from_node(self.moving_structures, *moving_ignored),
            )
            pairs = matched(*groups)[0]
            if not pairs:
                raise ImageError(
                    f"{self.fixed_structures.GetName()} and {self.moving_structures.GetName()} have no structure in "
                    "common. Give the same structures the same names in both."
                )
            for name, image, side in (("fixed_labels", fixed, 0), ("moving_labels", moving, 1)):
                fields[name] = _numbered([pair[side] for pair in pairs], image)
        return fields


def _are_given(fixed: slicer.vtkMRMLNode | None, moving: slicer.vtkMRMLNode | None, what: str) -> bool:
    if (fixed is None) != (moving is None):
        given, missing = (moving, "fixed") if fixed is None else (fixed, "moving")
        raise ImageError(f"{given.GetName()} cannot pull alone. Choose the {missing} {what} too, or neither.")
    return fixed is not None


def _numbered(structures: list[Structure], image: Image) -> LabelMap:
    """The structures on the grid of their volume, numbered from 1 in their order; where they overlap the last wins."""
    sampler, array = Sampler(IDENTITY, image.geometry), np.zeros(image.geometry.shape, np.int16)
    for number, structure in enumerate(structures, 1):
        array[sampler.mask(structure)] = number
    names = {structure.labels.name for structure in structures if structure.labels is not None}
    return LabelMap(array, image.geometry, ", ".join(sorted(names)) or "structures")
