"""MINC 2 files -> ITK images, converted by ITK in a process of its own, which a damaged HDF5 file may end."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import SimpleITK as sitk  # noqa: N813

from ..errors import ImageError
from ..memory import check_memory
from ..python_process import python_command
from .files import LARGEST_COMPRESSION
from .paths import is_file
from .reading_process import run_reader

MINC_EXTENSION = ".mnc"
MINC_NOTE = (
    "{} is a MINC file. It was placed as ITK and 3D Slicer place it; the programs of MINC count towards the right and "
    "the front where these count to the left and the back. Check left and right."
)
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_minc(path: Path) -> sitk.Image:
    """The volume of an existing file.

    Raises:
        ImageError: MINC 1, or damaged.
    """
    with path.open("rb") as stream:
        if stream.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise ImageError(f"{path} is no MINC 2 file. Convert it with `mincconvert -2` or to .nii.gz.")
    check_memory(path, path.stat().st_size)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "volume.nrrd"
        _convert(path, plain)
        check_memory(path, min(plain.stat().st_size, LARGEST_COMPRESSION * path.stat().st_size))
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NrrdImageIO")
        reader.SetFileName(str(plain))
        return reader.Execute()


def _convert(path: Path, plain: Path) -> None:
    command = [*python_command(), "-m", __name__, str(path.absolute()), str(plain)]
    code = run_reader(command, path, ImageError, ".nii.gz")
    if code or not is_file(plain):
        raise ImageError(f"{path} is damaged, or a MINC file that ITK does not read. Convert it to .nii.gz.")


def main(path: str, plain: str) -> None:
    """Of the child process: convert a file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MINCImageIO")
    reader.SetFileName(path)
    sitk.WriteImage(reader.Execute(), plain)


if __name__ == "__main__":
    main(*sys.argv[1:])
