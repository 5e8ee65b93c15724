"""Series: several values at every voxel of one grid, as frames of time or as channels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .errors import ImageError
from .geometry import Geometry
from .image import Image, LabelMap

#: What the last axis can be: frames, components of a vector or other measurements, red, green, blue and opacity.
FRAMES, CHANNELS, COLOURS = "frames", "channels", "colours"


@dataclass(frozen=True, eq=False)
class Series:
    """Several volumes on one grid.

    Args:
        array: (I, J, K, N), any real numeric type; never modified.
        geometry: grid of the first three axes.
        name: shown in messages, usually the file name.
        kind: `FRAMES`, `CHANNELS` or `COLOURS`, which are three or four bytes.
        step: from one frame to the next, s.
        intent: NIfTI intent code, for files that keep it; None where the kind decides.
        metadata: further texts of the file, by key, for files that keep them.
        notes: sentences about what was made of an ambiguous file.

    Raises:
        ImageError: not a 4-D real array, or its shape differs from the geometry's.
    """

    array: np.ndarray
    geometry: Geometry
    name: str = "series"
    kind: str = FRAMES
    step: float = 1.0
    intent: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[:3] != self.geometry.shape:
            raise ImageError(f"{self.name} has shape {self.array.shape} but its grid has {self.geometry.shape}.")
        if self.array.dtype.kind not in "biuf":
            raise ImageError(f"{self.name} has voxels of type {self.array.dtype}. Convert it to a real scalar type.")

    def __len__(self) -> int:
        return self.array.shape[3]

    def frame(self, number: int, kind: type[Image] = Image) -> Image:
        """One of the volumes, counted from 0, as an `Image` or `LabelMap`; labels are whole numbers."""
        return kind(self.array[..., number], self.geometry, f"{self.name}, {number + 1} of {len(self)}")

    def with_array(self, array: np.ndarray, geometry: Geometry) -> Series:
        """The same kind of series with other voxels on another grid."""
        return replace(self, array=array, geometry=geometry)


#: Everything that is made of voxels.
Volume = Image | LabelMap | Series
