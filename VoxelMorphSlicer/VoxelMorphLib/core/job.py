"""RegistrationJob: everything one registration needs, to be done here or by another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .config import RegistrationOptions
from .image import Image, LabelMap
from .transform import Transform


@dataclass(frozen=True, eq=False)
class RegistrationJob:
    """The arguments of one registration.

    Args:
        fixed: volume whose grid and position the result has.
        moving: volume to be warped.
        model: id of the model catalogue, or a weights file; None takes the default model.
        options: how to register.
        weights_dir: folder that is searched for weight files before anything is downloaded.
        initial: rough alignment fixed -> moving that comes before all others.
        allow_fallback: where the memory does not suffice, try again at half resolution, then on the processor.
        fixed_mask, moving_mask: label maps in the space of their volume; only what lies inside is looked at.
    """

    fixed: Image
    moving: Image
    model: str | Path | None = None
    options: RegistrationOptions = field(default_factory=RegistrationOptions)
    weights_dir: Path | None = None
    initial: Transform | None = None
    allow_fallback: bool = False
    fixed_mask: LabelMap | None = None
    moving_mask: LabelMap | None = None
