"""Row: one pair of a batch and how to register it, as plain values that travel to other processes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

#: Files of a row: the column of a table -> the field of a `RegistrationRequest`.
FILES = {
    **{"fixed": "fixed", "moving": "moving", "fixedLabels": "fixed_labels", "movingLabels": "moving_labels"},
    **{"fixedMask": "fixed_mask", "movingMask": "moving_mask", "initialTransform": "initial"},
    **{"fixedPoints": "fixed_landmarks", "movingPoints": "moving_landmarks"},
}


@dataclass(frozen=True)
class Row:
    """One pair.

    Args:
        number: of the pair, from 1.
        id: unique in its batch; also the name of a folder.
        files: absolute path of each file by its column.
        model: id or weights file; empty for the default.
        options: fields of `RegistrationOptions` that were given, as plain values.
        place: stems of what is written, relative to the output folder; see `places`.
        problem: why it cannot be registered; empty where nothing is known to be wrong.
    """

    number: int
    id: str
    files: dict[str, str] = field(default_factory=dict)
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Args:
        number, id: of the row.
        status: "done", "unchanged" (it had been done before) or "failed".
        sentence: why it failed, or what is worse than before; empty where all is well.
        measures: numbers by name, those of `MEASURES` that are known.
        warnings: sentences of the registration.
        model: that registered it.
        device: that computed it; empty where nothing was computed.
        seconds: wall time of reading, registering and writing.
        fixed, moving: names of the files.
        thumbnail, report: files relative to the output folder; empty without.
    """

    number: int
    id: str
    status: str
    sentence: str = ""
    measures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    model: str = ""
    device: str = ""
    seconds: float | None = None
    fixed: str = ""
    moving: str = ""
    thumbnail: str = ""
    report: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """What `to_dict` gave."""
        return cls(**{**values, "warnings": tuple(values.get("warnings", ()))})


#: Measures of a pair with their titles, in the order of tables.
MEASURES = {
    "similarity_before": "Correlation before",
    "similarity_after": "Correlation after",
    "local_similarity_before": "Local correlation before",
    "local_similarity_after": "Local correlation after",
    "dice_before": "Dice before",
    "dice_after": "Dice after",
    "landmark_error_before_mm": "Landmark error before, mm",
    "landmark_error_after_mm": "Landmark error after, mm",
    "folded_percent": "Folded voxels, %",
    "jacobian_min": "Smallest Jacobian determinant",
    "jacobian_max": "Largest Jacobian determinant",
    "log_jacobian_std": "Standard deviation of the logarithm of the Jacobian determinant",
    "displacement_mean_mm": "Mean displacement, mm",
    "displacement_max_mm": "Largest displacement, mm",
    "inverse_residual_mm": "Inverse consistency error, mm",
}
