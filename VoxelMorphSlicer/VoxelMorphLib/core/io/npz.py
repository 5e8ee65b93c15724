"""NumPy archives and arrays of the original VoxelMorph <-> images.

Such files hold arrays only. Unless they have our key `affine`, they get the position that the original gives them
when it saves NIfTI (voxelmorph `py/utils.py`, `save_volfile`): LIA, 1 mm, voxel shape / 2 at the origin.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import ImageError, MemoryShortError
from ..geometry import Geometry
from ..memory import check_memory
from .files import LARGEST_COMPRESSION, check_readable

ARRAY_EXTENSION = ".npy"
#: What is said of a file that holds one array and no position.
ARRAY_NOTE = (
    "{} holds numbers without a position. It is placed as the original VoxelMorph places its volumes: axes to the "
    "left, down and to the front, voxels of 1 mm, the middle at the origin."
)
#: Keys in order of preference, by kind of content.
IMAGE_KEYS = ("vol", "vol_data")
LABEL_KEYS = ("seg",)


def default_geometry(shape: tuple[int, ...]) -> Geometry:
    """Grid of an array without a position, as in the original."""
    affine = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape[:3]) / 2)
    return Geometry(tuple(shape[:3]), affine)


def plane_geometry(shape: tuple[int, ...], affine: np.ndarray | None = None) -> Geometry:
    """Grid of a slice; without a position its axes run to the left and to the back by 1 mm, as those of ITK do.

    Args:
        shape: (I, J).
        affine: (4, 4), voxel (i, j, 0) -> RAS mm.
    """
    whole = (shape[0], shape[1], 1)
    if affine is None:
        return Geometry(whole, np.diag([-1.0, -1.0, 1.0, 1.0]), 2)
    return Geometry(whole, affine).as_slice()


def read_npz(
    path: Path | str, keys: tuple[str, ...] = IMAGE_KEYS, are_axes_kept: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """An array of the archive, and its (4, 4) voxel -> RAS matrix if stored.

    Args:
        path: .npz file; nothing in it is executed.
        keys: names to look for; a single array of any name is accepted too.
        are_axes_kept: keep axes of length one, which are removed else.

    Raises:
        ImageError: not an archive of plain arrays, none of the keys, or truncated.
    """
    path = check_readable(path, ImageError)
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in archive.files if name != "affine"]
            found = [key for key in keys if key in names] or (names if len(names) == 1 else [])
            if not found:
                raise ImageError(f"{path} holds the arrays {names}. Store the volume under {keys[0]!r}.")
            _check_member(path, found[0])
            array = np.asarray(archive[found[0]])
            affine = _affine(path, archive) if "affine" in archive.files else None
    except (ImageError, MemoryError, MemoryShortError):
        raise
    except Exception as cause:  # zipfile, zlib, struct and tokenize errors of a damaged archive, pickled objects
        raise ImageError(
            f"{path} is not a NumPy archive of plain arrays, or is damaged. Save it again with numpy.savez."
        ) from cause
    return array if are_axes_kept else _squeezed(array), affine


def read_npy(path: Path | str) -> np.ndarray:
    """The one array of a .npy file, without the batch and channel axes of the original.

    Args:
        path: of the file, whatever stands before the last point, as in "atlas.npz.npy"; nothing in it is executed.

    Raises:
        ImageError: no plain array, or truncated.
    """
    path = check_readable(path, ImageError)
    try:
        with path.open("rb") as stream:
            shape, dtype = _header(stream)
        declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if declared <= path.stat().st_size:
            check_memory(path, declared)
            return _squeezed(np.load(path, allow_pickle=False))
    except (MemoryError, MemoryShortError):
        raise
    except Exception as cause:  # struct, tokenize and value errors of a damaged header, pickled objects
        raise ImageError(
            f"{path} is no NumPy array of numbers, or is damaged. Save it again with numpy.save."
        ) from cause
    raise ImageError(f"{path} announces {declared} bytes but holds {path.stat().st_size}. Save it again.")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array that begins here."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def holds_labels(path: Path) -> bool:
    """Whether a file is an archive with a label map beside its volume; what is wrong with it shows when it is read."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return any(key in archive.files for key in LABEL_KEYS)
    except Exception:
        return False


def _affine(path: Path, archive: Any) -> np.ndarray:
    """The (4, 4) matrix; anything else is refused before it is read."""
    shape, dtype = _check_member(path, "affine")
    if shape != (4, 4) or dtype.kind not in "iuf":
        raise ImageError(f"{path} holds an affine of {dtype} with the shape {shape} instead of (4, 4). Save it again.")
    return np.asarray(archive["affine"], float)


def _check_member(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Compare the shape in the array's header with its stored length before anything is allocated."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        shape, dtype = _header(member)
        declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        stored = min(archive.getinfo(f"{name}.npy").file_size, path.stat().st_size * LARGEST_COMPRESSION)
    if declared > stored:
        raise ImageError(f"{path} announces {declared} bytes for {name!r} but holds {stored}. Save it again.")
    check_memory(path, declared)
    return shape, dtype


def _squeezed(array: np.ndarray) -> np.ndarray:
    """Remove leading and trailing axes of length one until three are left: batch and channel of the original."""
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    return array


def write_npz(path: Path, array: np.ndarray, affine: np.ndarray, key: str) -> None:
    """Write an array and its (4, 4) voxel -> RAS matrix."""
    content: dict[str, Any] = {key: array, "affine": affine}
    with path.open("wb") as stream:
        np.savez_compressed(stream, **content)
