"""Checks of MetaImage files that make them safe to open with ITK.

ITK's reader crashes on impossible dimensions and prints to the terminal when fields or voxels are missing.
Fields: https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ImageError

#: Fields with one number per axis, with one per pair of axes, and with whole numbers.
PER_AXIS = ("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
PER_PAIR = ("TransformMatrix", "Rotation", "Orientation")
WHOLE = ("DimSize", "CompressedDataSize")
_DATA = "ElementDataFile"
REQUIRED = ("NDims", "DimSize", "ElementType", _DATA)


@dataclass(frozen=True)
class MetaHeader:
    """The text at the start of a .mha file or in a .mhd file.

    Args:
        fields: name -> text.
        end: length of the text, bytes.
    """

    fields: dict[str, str]
    end: int

    def is_true(self, field: str, default: bool) -> bool:
        """The value of a yes-or-no field."""
        return self.fields.get(field, str(default))[:1].lower() in ("t", "1")


def read_meta_header(path: Path) -> MetaHeader:
    """Parse and check the header.

    Raises:
        ImageError: a field is missing or holds the wrong number of values.
    """
    header = _parse(path)
    missing = [field for field in REQUIRED if not header.fields.get(field)]
    wrong = [] if missing else _wrong_fields(header.fields)
    if missing or wrong:
        raise ImageError(
            f"{path} is not a MetaImage file or its header is damaged: missing {missing or 'nothing'}, "
            f"wrong {wrong or 'nothing'}. Copy or export it again."
        )
    return header


def check_meta_length(header: MetaHeader, path: Path, data: Path, declared: int) -> None:
    """Check that the file holds all voxels.

    Args:
        header: of `path`.
        path: .mha or .mhd file.
        data: the file with the voxels, possibly the same.
        declared: bytes of all voxels.

    Raises:
        ImageError: less data than declared.
    """
    if not header.is_true("BinaryData", True):
        return
    with data.open("rb") as stream:
        stream.seek(header.end if data == path else 0)
        if header.is_true("CompressedData", False):
            found = _inflated_bytes(stream, declared, header.fields.get("CompressedDataSize", ""))
        else:
            found = data.stat().st_size - stream.tell()
    if found < declared:
        raise ImageError(
            f"{path} is truncated or damaged: its header announces {declared} bytes of voxels, "
            f"{max(found, 0)} can be read. Copy or export it again."
        )


def _parse(path: Path) -> MetaHeader:
    fields, text = {}, b""
    with path.open("rb") as stream:
        while len(text) < 1 << 16:
            line = stream.readline(1 << 14)
            text += line
            key, equals, value = _decoded(line).partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == _DATA:
                break
    if text.count(_DATA.encode()) > 1:  # ITK would take the first, in whatever spelling, which was not looked at
        fields.pop(_DATA, None)
    return MetaHeader(fields, len(text))


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _wrong_fields(fields: dict[str, str]) -> list[str]:
    if fields["NDims"] not in ("1", "2", "3", "4", "5"):
        return ["NDims"]
    dimensions, names = int(fields["NDims"]), list(fields)
    counts = {**dict.fromkeys(PER_AXIS, dimensions), **dict.fromkeys(PER_PAIR, dimensions**2)}
    wrong = [name for name in fields if name in counts and _count_numbers(fields[name]) != counts[name]]
    wrong += [name for name in counts if name in names and names.index(name) < names.index("NDims")]
    wrong += [] if fields["ElementType"].startswith("MET_") else ["ElementType"]
    return wrong + [name for name in WHOLE if not fields.get(name, "0").replace(" ", "").isdigit()]


def _count_numbers(text: str) -> int:
    """How many finite numbers; -1 if there is anything else."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return -1
    return len(numbers) if all(map(math.isfinite, numbers)) else -1


def _inflated_bytes(stream: BinaryIO, at_most: int, compressed_size: str) -> int:
    """Bytes in a complete zlib stream of `compressed_size` bytes when decompressed; -1 if it is damaged."""
    inflater, found = zlib.decompressobj(), 0
    left = int(compressed_size) if compressed_size.isdigit() else 1 << 62
    try:
        while found <= at_most and left > 0 and not inflater.eof:
            block = stream.read(min(1 << 16, left))
            if not block:
                break
            left -= len(block)
            found += len(inflater.decompress(block))
    except zlib.error:
        return -1
    is_whole = inflater.eof and (left == 0 or not compressed_size.isdigit())
    return found if is_whole else -1
