"""What files are called by: names without extension, and ones that tell several files apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .files import extension


def stem(path: Path) -> str:
    """File name without its extension; ".nii.gz" counts as one."""
    return path.name[: len(path.name) - len(extension(path))] or path.name


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, and more of its path where stems are equal, so that all names differ."""
    common = _common_folder(paths)
    longer = [iter(_names(path, common)) for path in paths]
    names = [next(others) for others in longer]
    while len(set(names)) < len(set(paths)):
        counts = Counter(names)
        names = [next(others, name) if counts[name] > 1 else name for name, others in zip(names, longer)]
    return names


def _names(path: Path, common: Path | None) -> tuple[str, ...]:
    """From short to long: the stem, with the folders below the common one, with the extension, all of the path."""
    below = path if common is None else path.relative_to(common)
    return stem(path), below.with_name(stem(path)).as_posix(), below.as_posix(), str(path)


def _common_folder(paths: Sequence[Path]) -> Path | None:
    """The deepest folder with all files; None where they lie on different drives."""
    try:
        return Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:
        return None
