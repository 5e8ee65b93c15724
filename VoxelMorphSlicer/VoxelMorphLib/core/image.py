"""Image and LabelMap: an array (I, J, K) with its Geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import ImageError
from .geometry import Geometry

#: Networks compute in single precision (24 bits): greater values overflow in a square, and a smaller range of values,
#: as part of the greatest one, holds less than 64 grey levels.
LARGEST_VALUE = 1e18
SMALLEST_CONTRAST = 64 * 2.0**-24


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume.

    Args:
        array: (I, J, K), any real numeric type; stored as given and never modified.
        geometry: grid of the same shape.
        name: shown in messages, usually the file or node name.
        notes: sentences about what was made of an ambiguous file.

    Raises:
        ImageError: not a 3-D real array, or its shape differs from the geometry's.
    """

    array: np.ndarray
    geometry: Geometry
    name: str = "image"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3:
            raise ImageError(f"{self.name} has {array.ndim} dimensions {array.shape}. Choose a single 3-D volume.")
        if array.shape != self.geometry.shape:
            raise ImageError(f"{self.name} has shape {array.shape} but its grid has {self.geometry.shape}.")
        if array.dtype.kind not in "biuf":
            raise ImageError(f"{self.name} has voxels of type {array.dtype}. Convert it to a real scalar type.")
        object.__setattr__(self, "array", array)

    def with_array(self, array: np.ndarray, name: str | None = None) -> Image:
        """The same kind of image on the same grid with other voxel values."""
        return type(self)(array, self.geometry, name or self.name)


@dataclass(frozen=True, eq=False)
class LabelMap(Image):
    """A volume whose values are label numbers; interpolation never mixes them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        largest = float(np.abs(self.array).max(initial=0)) if self.array.dtype.kind in "uf" else 0.0
        if np.isfinite(largest) and largest >= 2.0**63:
            raise ImageError(f"{self.name} holds the label {largest:.4g}. Give the labels numbers below 2^63.")
        if self.array.dtype.kind == "f":
            object.__setattr__(self, "array", _as_integers(self.array, self.name))

    def labels(self) -> np.ndarray:
        """Sorted label numbers that occur, without the background 0."""
        values = np.unique(self.array)
        return values[values != 0]


def _as_integers(array: np.ndarray, name: str) -> np.ndarray:
    rounded = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - rounded).max(initial=0) > 1e-3:
        raise ImageError(f"{name} is not a label map: it holds values that are not whole numbers. Choose a label map.")
    return rounded.astype(np.int32 if np.abs(rounded).max(initial=0) < 2**31 else np.int64)


def without_nan_background(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """NaN outside the object, as SPM and FSL write it, becomes the darkest value; single ones stay.

    Args:
        array: (I, J, K), any real numeric type; returned as it is where nothing is to be done.
        name: of the image, for the sentence.

    Returns:
        The array, and a sentence that says what was made of it, if anything.
    """
    if array.dtype.kind != "f" or not array.size or not np.isnan(array.min()):
        return array, ()
    is_nan = np.isnan(array)
    faces = [np.take(is_nan, end, axis) for axis in range(array.ndim) for end in (0, -1)]
    if is_nan.all() or sum(face.sum() for face in faces) < sum(face.size for face in faces) / 2:
        return array, ()
    lowest = array[~is_nan].min()
    share = 100 * float(is_nan.mean())
    note = f"The NaN voxels of {name} ({share:.1f} %) are treated as outside: they get its lowest value, {lowest:g}."
    return np.where(is_nan, lowest, array), (note,)


def check_registrable(image: Image, role: str) -> None:
    """Raise an error for volumes that cannot be registered.

    Args:
        image: volume to check.
        role: "fixed" or "moving", for the message.

    Raises:
        ImageError: more than one axis of a single voxel, NaN or infinity, or no contrast at all.
    """
    array, name = image.array, f"The {role} volume {image.name}"
    if sorted(array.shape)[1] < 2:
        raise ImageError(f"{name} has shape {array.shape}: only one axis has several voxels. Choose a volume or slice.")
    low, high = array.min(), array.max()  # NaN and infinity show here, much faster than in a test of every voxel
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(array.size - np.isfinite(array).sum())
        raise ImageError(f"{name} holds {bad} NaN or infinite voxels. Replace them, e.g. by 0, and try again.")
    if low == high:
        raise ImageError(f"{name} is empty or constant (every voxel is {low}). Choose a volume with content.")
    low, high = float(low), float(high)
    if max(-low, high) > LARGEST_VALUE:
        raise ImageError(
            f"{name} holds values from {low:g} to {high:g}. Scale them to numbers below {LARGEST_VALUE:g}."
        )
    if high - low < SMALLEST_CONTRAST * max(-low, high):
        raise ImageError(
            f"{name} holds values between {low:.9g} and {high:.9g}, which single precision hardly tells apart. "
            f"Subtract {low:.9g} from all of them."
        )
