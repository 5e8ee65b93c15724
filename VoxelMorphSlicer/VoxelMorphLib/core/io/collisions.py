"""Outputs that would destroy an input or each other, found before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import OutputError
from .companions import companion
from .detached import data_file


def check_apart(inputs: Mapping[str, Path | str | None], outputs: Mapping[str, Path | None]) -> None:
    """Make sure that every output is a file of its own, also where links, spellings or second files hide it.

    Args:
        inputs: option -> file that is read; None and what does not exist are passed over.
        outputs: option -> file that will be written.

    Raises:
        OutputError: an output is an input or another output, or shares its file of voxels.
        ImageError: the header of an input names no file that it may name.
    """
    owners: dict[tuple[object, ...], tuple[str, Path]] = {}
    for option, path in inputs.items():
        if path is not None:
            for file in _read_files(Path(path)):
                owners.setdefault(_identity(file), (option, file))
    for option, path in outputs.items():
        for written in [] if path is None else filter(None, (path, companion(path))):
            owner = owners.setdefault(_identity(written), (option, written))
            if owner != (option, written) or owner[0] in inputs:
                raise OutputError(
                    f"--{option} would be written to {written}, which is also a file of --{owner[0]}. "
                    "Give another name."
                )


def _read_files(path: Path) -> list[Path]:
    data = data_file(path) if _is_file(path) else path
    return [path] if data == path else [path, data]


def _identity(path: Path) -> tuple[object, ...]:
    """The same for all names of one file, whether it exists or not."""
    try:
        found = path.stat()
        return found.st_dev, found.st_ino
    except (OSError, ValueError):
        return (os.path.normcase(os.path.realpath(str(path).replace("\0", ""))),)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # who reads it says so
        return False
