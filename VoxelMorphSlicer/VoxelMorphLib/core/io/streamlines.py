"""Streamlines of .trk and .tck files, through nibabel, in RAS mm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import DependencyError, ImageError, OutputError
from ..geometry import Geometry
from .files import check_readable, extension, replacing

STREAMLINE_EXTENSIONS = (".trk", ".tck")


@dataclass(frozen=True, eq=False)
class Streamlines:
    """Curves in space with what the file knows of them.

    Args:
        positions: (P, 3), RAS mm, of all points, curve after curve.
        lengths: points of each curve.
        tractogram: nibabel's object with the data of points and curves.
        header: of the file.
        name: of the file, for messages.
    """

    positions: np.ndarray
    lengths: tuple[int, ...]
    tractogram: Any
    header: dict[str, Any]
    name: str

    def with_positions(self, positions: np.ndarray, reference: Geometry | None = None) -> Streamlines:
        """The same curves at other places.

        Args:
            positions: (P, 3), RAS mm.
            reference: grid of the image they lie in now, which .trk files name.
        """
        header = dict(self.header)
        if reference is not None and "voxel_to_rasmm" in header:
            header["voxel_to_rasmm"] = reference.affine.astype(np.float32)
            header["dimensions"] = np.array(reference.shape, np.int16)
            header["voxel_sizes"] = reference.spacing.astype(np.float32)
            header["voxel_order"] = reference.orientation.encode("ascii")
        return replace(self, positions=positions, header=header)


def read_streamlines(path: Path | str) -> Streamlines:
    """Read a file.

    Raises:
        ImageError: missing or damaged file.
        DependencyError: nibabel is not installed.
    """
    path = check_readable(path, ImageError)
    nibabel = _nibabel(path)
    try:
        file = nibabel.streamlines.load(str(path))
        lines = file.tractogram.streamlines
        lengths = tuple(len(line) for line in lines)
        positions = np.array(lines.get_data(), np.float64).reshape(-1, 3)
    except MemoryError:
        raise
    except Exception as cause:  # nibabel has no common error class
        raise ImageError(f"{path} is damaged: nibabel cannot read it. Copy or export it again.") from cause
    if not np.isfinite(positions).all() or len(positions) != sum(lengths):
        raise ImageError(f"{path} has a coordinate that is no finite number. Export the streamlines again.")
    return Streamlines(positions, lengths, file.tractogram, dict(file.header), path.name)


def write_streamlines(streamlines: Streamlines, path: Path | str) -> Path:
    """Write into one of the `STREAMLINE_EXTENSIONS`; .tck files keep the curves alone.

    Raises:
        OutputError: the folder cannot be written.
        DependencyError: nibabel is not installed.
    """
    path = Path(path)
    nibabel = _nibabel(path)
    ends = np.cumsum(streamlines.lengths)[:-1]
    lines = np.split(streamlines.positions.astype(np.float32), ends) if streamlines.lengths else []
    keeps_data = extension(path) == ".trk"
    known = streamlines.tractogram
    moved = nibabel.streamlines.Tractogram(
        lines,
        data_per_streamline=known.data_per_streamline if keeps_data else None,
        data_per_point=known.data_per_point if keeps_data else None,
        affine_to_rasmm=np.eye(4),
    )
    header = streamlines.header if "voxel_to_rasmm" in streamlines.header and keeps_data else None
    with replacing(path, streamlines.positions.size * 4) as scratch:
        try:
            nibabel.streamlines.save(moved, str(scratch), header=header)
        except (ValueError, TypeError) as cause:
            raise OutputError(f"{path} cannot hold these streamlines ({cause}). Choose another extension.") from cause
    return path


def _nibabel(path: Path) -> ModuleType:
    try:
        import nibabel
    except ImportError as cause:
        raise DependencyError(
            f"{path.name} needs the Python package nibabel. Install it with `pip install nibabel`, in Slicer's Python "
            "console `slicer.util.pip_install('nibabel')`."
        ) from cause
    return nibabel
