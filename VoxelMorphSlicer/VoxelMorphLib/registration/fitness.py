"""Whether the model of a request was made for its volumes, as one sentence for before and after the registration."""

from __future__ import annotations

from ..core.image import Image, LabelMap
from ..weights.catalogue import load_catalogue
from ..weights.entry import ModelEntry
from ..weights.suitability import Shown, advice
from .masks import fitted_mask, hide_outside
from .request import RegistrationRequest


def unfitness(request: RegistrationRequest, entry: ModelEntry | None) -> str:
    """What is wrong with a model for the volumes inside their masks and which one fits; "" where nothing is.

    Args:
        request: names the volumes.
        entry: the model; None of a weights file that was not read yet.

    Raises:
        GeometryError: a mask does not overlap its volume.
    """
    if entry is None:
        return ""
    fixed = _shown(request.fixed, request.fixed_mask, "fixed")
    moving = _shown(request.moving, request.moving_mask, "moving")
    return advice(entry, fixed, moving, [other for other in load_catalogue().values() if other.available])


def _shown(image: Image, mask: LabelMap | None, role: str) -> Shown:
    inside = hide_outside(image, fitted_mask(mask, image, role))
    return Shown.of(inside.array, inside.geometry, image.name)
