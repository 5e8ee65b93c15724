"""What every benchmark needs to know."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def _shared(variable: str, name: str) -> Path:
    return Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / name)


@dataclass(frozen=True)
class Settings:
    """How much is measured, and where optional inputs are looked for.

    Args:
        shape: extents of the images in voxels.
        repeats: rounds that count; the median is reported.
        threads: of torch in the runs that are not single-threaded.
        rows: of a batch.
        weights: folder of published weight files (VXM_WEIGHTS).
        reference: folder of recorded inputs (VXM_REFERENCE).
        data: folder of real images (VXM_DATA).
    """

    shape: tuple[int, int, int] = (160, 192, 224)
    repeats: int = 5
    threads: int = 1
    rows: int = 500
    weights: Path = field(default_factory=lambda: _shared("VXM_WEIGHTS", "weights"))
    reference: Path = field(default_factory=lambda: _shared("VXM_REFERENCE", "reference"))
    data: Path = field(default_factory=lambda: _shared("VXM_DATA", "data"))
