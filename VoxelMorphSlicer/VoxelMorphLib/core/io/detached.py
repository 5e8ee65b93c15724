"""Headers that keep their voxels in another file: which one, and that it is one that they may name.

A header from elsewhere could name any file of this computer, whose bytes would come out as an image. Fields of NRRD:
https://teem.sourceforge.net/nrrd/format.html; of MetaImage: https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import ImageError
from .files import check_readable, extension
from .metaimage import read_meta_header

#: Longer headers are refused: a field behind them could not be seen here.
LONGEST_HEADER = 1 << 20
_LINE_END = re.compile(rb"\r\n|\r|\n")
#: Any spelling of the field; teem ignores case, and a key with ":=" is a comment of the user.
_DATA_FIELD = re.compile(rb"\s*data\s*file\s*:(?!=)(.*)", re.IGNORECASE | re.DOTALL)
_META, _NRRD = (".mha", ".mhd"), (".nrrd", ".nhdr")


def data_file(path: Path) -> Path:
    """The file with the voxels of an image: the image itself, or a plain file in the same folder.

    Raises:
        ImageError: the header names several files, one elsewhere, or none that can be read.
    """
    kind = extension(path)
    if kind not in (*_META, *_NRRD):
        return path
    named = read_meta_header(path).fields["ElementDataFile"] if kind in _META else _nrrd_field(path)
    if named is None or (kind in _META and named.lower() == "local"):
        return path
    return _beside(path, named)


def _beside(path: Path, named: str) -> Path:
    if named.upper().startswith("LIST") or "%" in named:
        raise ImageError(f"{path} spreads its voxels over several files ({named}). Save it as one .nrrd file.")
    names = {PurePosixPath(named).name, PureWindowsPath(named).name}
    if names != {named} or named in ("", ".", ".."):
        raise ImageError(
            f"{path} takes its voxels from {named}, which is not a plain name of a file beside it. Put the file with "
            "the voxels into the same folder, and its name alone into the header."
        )
    data = check_readable(path.parent / named, ImageError)
    if data.resolve().parent not in (path.parent.resolve(), path.resolve().parent):
        raise ImageError(f"{path} takes its voxels from {named}, a link to another folder. Copy the file there.")
    return data


def _nrrd_field(path: Path) -> str | None:
    """What a NRRD header says in its field "data file"; None if the voxels follow the header."""
    with path.open("rb") as stream:
        head = stream.read(LONGEST_HEADER)
    lines = _LINE_END.split(head)
    if len(head) == LONGEST_HEADER and b"" not in lines:
        raise ImageError(f"{path} has a header of more than {LONGEST_HEADER // 1000} kB. Export it again.")
    # Also behind the header's end, since readers do not agree on what ends it.
    named = [match.group(1) for match in map(_DATA_FIELD.fullmatch, lines) if match]
    if len(named) > 1:
        raise ImageError(f"{path} names several files with voxels. Save it as one .nrrd file.")
    return named[0].strip().decode("utf-8", "replace") if named else None
