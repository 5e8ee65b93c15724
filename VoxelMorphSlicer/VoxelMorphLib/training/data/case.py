"""Case: one image of a training with what belongs to it, and the names that messages and tables call it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.io.files import extension


@dataclass(frozen=True)
class Case:
    """One image on the disk.

    Args:
        name: unique among the cases of a list.
        image: file.
        labels: label map, which may be the same .npz file; None without.
        attributes: numbers that describe the case.
    """

    name: str
    image: Path
    labels: Path | None = None
    attributes: tuple[float, ...] = ()


def stem(path: Path) -> str:
    """File name without its extension; ".nii.gz" counts as one."""
    return path.name[: len(path.name) - len(extension(path))] or path.name


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with the folders below the common one where two stems are equal."""
    stems = [stem(path) for path in paths]
    counts = Counter(stems)
    if len(counts) == len(stems):
        return stems
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [
        name if counts[name] == 1 else (path.relative_to(common).parent / name).as_posix()
        for name, path in zip(stems, paths)
    ]
