"""The second file of formats that keep their voxels beside the header, and whose it is."""

from __future__ import annotations

from pathlib import Path

from ..errors import OutputError

#: Extensions of headers whose voxels are written into a second file, of the same name and the second extension.
DETACHED = (".mhd", ".nhdr")
DATA_EXTENSION = ".raw"
#: Headers are shorter than this.
_LONGEST_HEADER = 1 << 16


def companion(path: Path) -> Path | None:
    """The file that receives the voxels when `path` is written; None where they are in the same file."""
    return path.with_suffix(DATA_EXTENSION) if path.suffix.lower() in DETACHED else None


def check_companion(path: Path) -> None:
    """Make sure that writing a header's voxels replaces nobody else's.

    Raises:
        OutputError: the file of the voxels exists and belongs to something else, or to another header too.
    """
    data = companion(path)
    if data is None or not (data.exists() or data.is_symlink()):
        return
    if data.is_symlink() or not data.is_file():
        raise OutputError(f"{path} would put its voxels into {data}, which is a link or no file. Give another name.")
    others = [other for other in _headers(data) if other.name != path.name and _names(other, data)]
    if others:
        raise OutputError(f"{path} would replace {data}, which {others[0].name} needs. Give another name.")
    if not _names(path, data):
        raise OutputError(f"{path} would replace {data}, which does not belong to it. Give another name.")


def _headers(data: Path) -> list[Path]:
    return [path for path in data.parent.iterdir() if path.suffix.lower() in DETACHED and path.stem == data.stem]


def _names(header: Path, data: Path) -> bool:
    """Whether a header says that its voxels are in this file."""
    try:
        with header.open("rb") as stream:
            return data.name.encode() in stream.read(_LONGEST_HEADER)
    except OSError:
        return False
