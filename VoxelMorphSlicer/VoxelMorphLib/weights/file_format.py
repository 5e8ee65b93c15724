"""The format of a weight file, recognised by its first bytes; names and suffixes are not trusted."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import WeightsError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def file_format(path: Path) -> str:
    """ "keras", "safetensors" or "torch"; the reader of that format decides whether the file is sound.

    Raises:
        WeightsError: the file cannot be read or is none of them.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}). Check the path and its permissions.") from error
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes). Copy or download it again.")
    if head.startswith(_HDF5):
        return "keras"
    # A safetensors file begins with the length of its JSON header, 8 bytes, least significant first.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "safetensors"
    if head.startswith((_ZIP, _PICKLE)):
        return "torch"
    raise WeightsError(
        f"{path} is no weights file (it begins with {head[:8]!r}). Choose a Keras .h5, a .safetensors or a .pt file."
    )
