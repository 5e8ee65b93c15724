"""ApplyOptions: how voxels are resampled."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.config import Settings
from ..core.options import option


@dataclass(frozen=True)
class ApplyOptions(Settings):
    """How voxels are resampled; every field describes itself.

    Raises:
        ConfigError: unknown name or impossible value.
    """

    interpolation: str = option(
        "linear",
        "how values are computed between voxels. nearest keeps them, and multilabel finds the label whose linearly "
        "interpolated mask is the largest. Label maps that are given as such are nearest, or multilabel",
        choices={
            "linear": "Linear",
            "nearest": "Nearest neighbour",
            "cubic": "Cubic",
            "multilabel": "Multilabel (smooth labels)",
        },
        group="Outputs",
    )
    background: float | None = option(
        None,
        "value where the input shows nothing; by default its even border or its minimum, 0 for label maps and colours",
        low=-1e18,
        high=1e18,
        group="Outputs",
        in_form=False,
    )
    header_only: bool = option(
        False,
        "leave the voxels of volumes as they are and change their place in the header alone, by transforms without "
        "deformation and shear. The reference has no part in it then",
        group="Outputs",
    )
