"""VoxelMorph registration for Python and 3D Slicer: images and transforms, trained networks, registration, training.

    from VoxelMorphLib import register, write_image

    result = register("fixed.nii.gz", "moving.nii.gz")
    write_image(result.moved, "moved.nii.gz")

What is public stands here. It is imported when it is first used: `import VoxelMorphLib` loads neither torch nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # for editors and type checkers
    from .apply.apply import apply_transform as apply_transform
    from .apply.options import ApplyOptions as ApplyOptions
    from .core.config import RegistrationOptions as RegistrationOptions
    from .core.errors import Cancelled as Cancelled
    from .core.errors import VoxelMorphError as VoxelMorphError
    from .core.geometry import Geometry as Geometry
    from .core.image import Image as Image
    from .core.image import LabelMap as LabelMap
    from .core.io.images import read_image as read_image
    from .core.io.images import read_label_map as read_label_map
    from .core.io.images import write_image as write_image
    from .core.io.transforms import read_transform as read_transform
    from .core.io.transforms import write_transform as write_transform
    from .core.transform import AffineTransform as AffineTransform
    from .core.transform import CompositeTransform as CompositeTransform
    from .core.transform import DisplacementField as DisplacementField
    from .core.transform import Transform as Transform
    from .evaluation.evaluate import evaluate_files as evaluate  # noqa: F401, public under this name
    from .registration.register import register_pair as register  # noqa: F401, public under this name
    from .registration.request import RegistrationRequest as RegistrationRequest
    from .registration.result import Registration as Registration
    from .registration.segment import segment_image as segment_image
    from .training.recipes import make_config as make_config
    from .training.trainer import train as train
    from .weights.catalogue import load_catalogue as load_catalogue

#: Where each public name lives: its module, and after a colon its name there if that is another one.
_HOMES = {
    "AffineTransform": "core.transform",
    "ApplyOptions": "apply.options",
    "Cancelled": "core.errors",
    "CompositeTransform": "core.transform",
    "DisplacementField": "core.transform",
    "Geometry": "core.geometry",
    "Image": "core.image",
    "LabelMap": "core.image",
    "Registration": "registration.result",
    "RegistrationOptions": "core.config",
    "RegistrationRequest": "registration.request",
    "Transform": "core.transform",
    "VoxelMorphError": "core.errors",
    "apply_transform": "apply.apply",
    "evaluate": "evaluation.evaluate:evaluate_files",
    "load_catalogue": "weights.catalogue",
    "make_config": "training.recipes",
    "read_image": "core.io.images",
    "read_label_map": "core.io.images",
    "read_transform": "core.io.transforms",
    "register": "registration.register:register_pair",
    "segment_image": "registration.segment",
    "train": "training.trainer",
    "write_image": "core.io.images",
    "write_transform": "core.io.transforms",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    globals()[name] = getattr(importlib.import_module(f".{module}", __name__), attribute or name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
