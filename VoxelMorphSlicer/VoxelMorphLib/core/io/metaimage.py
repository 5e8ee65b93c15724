"""MetaImage files: is there as much data as the header announces? ITK's reader prints to the terminal when not."""

from __future__ import annotations

import zlib
from pathlib import Path

from ..errors import ImageError


def check_metaimage_length(path: Path, data: Path, declared: int) -> None:
    """Make sure that the voxels of a .mha or .mhd are all there.

    Args:
        path: the header.
        data: the file with the voxels, possibly the same.
        declared: bytes of all voxels.

    Raises:
        ImageError: less data than declared.
    """
    fields, end = _header(path)
    if fields.get(b"BinaryData", b"True").lower() == b"false":
        return
    with data.open("rb") as stream:
        stream.seek(end if data == path else 0)
        if fields.get(b"CompressedData", b"False").lower() == b"true":
            found = _inflated_bytes(stream, declared)
        else:
            found = data.stat().st_size - stream.tell()
    if found < declared:
        raise ImageError(
            f"{path} is truncated: its header announces {declared} bytes of voxels, found {found}. "
            "Copy or export it again."
        )


def _header(path: Path) -> tuple[dict[bytes, bytes], int]:
    fields, end = {}, 0
    with path.open("rb") as stream:
        for line in stream:
            end += len(line)
            key, _, value = line.partition(b"=")
            fields[key.strip()] = value.strip()
            if key.strip() == b"ElementDataFile":
                break
    return fields, end


def _inflated_bytes(stream, at_most: int) -> int:
    inflater, found = zlib.decompressobj(), 0
    try:
        while found < at_most:
            block = stream.read(1 << 16)
            if not block:
                break
            found += len(inflater.decompress(block))
    except zlib.error:
        pass
    return found
