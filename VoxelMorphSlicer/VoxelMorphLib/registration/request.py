"""RegistrationRequest: everything that one registration needs, whoever asks for it and wherever it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.config import RegistrationOptions
from ..core.image import Image, LabelMap
from ..core.transform import Transform
from ..weights.catalogue import load_catalogue


@dataclass(frozen=True, eq=False)
class RegistrationRequest:
    """What to align with what, and how.

    Panel, commands, sequences, worker process and library pass this object on; a new field is described here alone.

    Args:
        fixed: volume whose grid and position the result has.
        moving: volume to be warped; interpolated once, from its original voxels.
        model: id of the model catalogue, or a weights file; None takes the default model.
        options: how to register.
        initial: rough alignment fixed -> moving that comes before all others.
        fixed_mask, moving_mask: label maps in the space of their volume, on any grid; only what lies in any of their
            labels is looked at. The moved image still comes from the whole moving volume.
        weights_dir: folder that is searched for weight files before anything is downloaded.
        allow_fallback: where the memory does not suffice, try again at half resolution, then on the processor.
    """

    fixed: Image
    moving: Image
    model: str | Path | None = None
    options: RegistrationOptions = field(default_factory=RegistrationOptions)
    initial: Transform | None = None
    fixed_mask: LabelMap | None = None
    moving_mask: LabelMap | None = None
    weights_dir: Path | None = None
    allow_fallback: bool = False

    @classmethod
    def read(cls, **values: Any) -> RegistrationRequest:
        """A request from the fields by name, where volumes, masks and transform may be paths of files.

        Raises:
            ImageError: a volume or mask cannot be read.
            GeometryError: a transform cannot be read.
        """
        named = {name for name, value in values.items() if isinstance(value, (str, Path))} - {"model", "weights_dir"}
        if not named:
            return cls(**values)
        from ..core.io.images import read_image, read_label_map  # SimpleITK, which a caller with images does not need
        from ..core.io.transforms import read_transform

        readers: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(("fixed", "moving"), read_image),
            **dict.fromkeys(("fixed_mask", "moving_mask"), read_label_map),
            "initial": read_transform,
        }
        return cls(**{**values, **{name: read(values[name]) for name, read in readers.items() if name in named}})

    def portable(self) -> RegistrationRequest:
        """The same request for a process in another working folder: model files and folders by absolute paths."""
        folder = None if self.weights_dir is None else Path(self.weights_dir).absolute()
        return replace(self, model=_portable(self.model), weights_dir=folder)


def _portable(model: str | Path | None) -> str | None:
    """A model name that means the same in another working folder."""
    if model is None or (isinstance(model, str) and model in load_catalogue()):
        return model
    return str(Path(model).absolute()) if Path(model).exists() else str(model)
