"""RegistrationRequest: everything that one registration needs, whoever asks for it and wherever it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import RegistrationOptions
from ..core.image import Image, LabelMap
from ..core.io.paths import exists
from ..core.transform import Transform
from ..weights.catalogue import load_catalogue

#: Fields of landmarks.
LANDMARKS = ("fixed_landmarks", "moving_landmarks")


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
        fixed_landmarks, moving_landmarks: (P, 3), RAS mm, of the same P points in both images, in the same order. They
            are the start where `options.affine` says so, and pull at an optimisation or refinement.
        fixed_labels, moving_labels: label maps of the same structures, in the space of their volume; where numbers
            are the same they pull each other together in an optimisation or refinement.
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
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None

    @classmethod
    def read(cls, **values: Any) -> RegistrationRequest:
        """A request from the fields by name; volumes, masks, landmarks, labels and transform may be paths of files.

        Landmarks of two files are paired by their labels where these are the same in both, else by their order.

        Raises:
            ImageError: a volume, mask or list of landmarks cannot be read.
            GeometryError: a transform cannot be read.
        """
        named = {name for name, value in values.items() if isinstance(value, (str, Path))} - {"model", "weights_dir"}
        if not named:
            return cls(**values)
        from ..core.io.images import read_image, read_label_map  # SimpleITK, which a caller with images does not need
        from ..core.io.positions import mixed_positions
        from ..core.io.transforms import read_transform

        readers: dict[str, Callable[[Any], Any]] = {
            **dict.fromkeys(("fixed", "moving"), read_image),
            **dict.fromkeys(("fixed_mask", "moving_mask", "fixed_labels", "moving_labels"), read_label_map),
        }
        points = _read_landmarks({name: Path(values[name]) for name in LANDMARKS if name in named})
        read = {**values, **points, **{name: each(values[name]) for name, each in readers.items() if name in named}}
        note = mixed_positions(values[name] for name in readers if name in named)
        if note:
            read["fixed"] = replace(read["fixed"], notes=(*read["fixed"].notes, note))
        if "initial" in named:
            read["initial"] = read_transform(values["initial"], read["fixed"].geometry, read["moving"].geometry)
        return cls(**read)

    def portable(self) -> RegistrationRequest:
        """The same request for a process in another working folder: model files and folders by absolute paths."""
        folder = None if self.weights_dir is None else Path(self.weights_dir).absolute()
        model = None if self.model is None else portable_model(self.model)
        return replace(self, model=model, weights_dir=folder)


def _read_landmarks(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    from ..core.io.points import read_landmark_pairs, read_points

    if len(paths) == len(LANDMARKS):
        pairs = read_landmark_pairs(*(paths[name] for name in LANDMARKS))
        return dict(zip(LANDMARKS, (pairs.fixed, pairs.moving)))
    return {name: read_points(path).positions for name, path in paths.items()}


def portable_model(model: str | Path) -> str:
    """A model name that means the same in another working folder."""
    if isinstance(model, str) and model in load_catalogue():
        return model
    return str(Path(model).absolute()) if exists(model) else str(model)
