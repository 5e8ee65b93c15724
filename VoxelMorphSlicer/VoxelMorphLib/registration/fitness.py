"""Whether the model of a request was made for its volumes, as one sentence for before and after the registration."""

from __future__ import annotations

import numpy as np

from ..core.config import RegistrationOptions
from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..weights.catalogue import load_catalogue
from ..weights.entry import ModelEntry, supports_regularisation
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


def ignored_regularity(options: RegistrationOptions, entry: ModelEntry) -> str:
    """What to say about a chosen regularity that means nothing to the model; "" where it does, or none was chosen."""
    if options.hyper == RegistrationOptions.hyper or supports_regularisation(entry):
        return ""
    return (
        f"hyper {options.hyper:g} changes nothing, because the model {entry.id} was not trained for all values of it. "
        "Choose a HyperMorph network or synthmorph-deform-3, or leave it out."
    )


#: Voxels of a model that the longest axis of a volume has at least, and those of a whole volume at most.
FEWEST_ALONG, MOST_VOXELS = 4, 500_000_000


def check_scale(geometry: Geometry, entry: ModelEntry) -> None:
    """Refuse a volume that a network would see as a dot, or that would not fit into any memory.

    Args:
        geometry: of the fixed volume.
        entry: a model with a voxel size of its own.

    Raises:
        GeometryError: with what to check.
    """
    size = entry.space.voxel_size
    if size is None:
        return
    extent = geometry.spacing * geometry.shape
    if extent.max() >= FEWEST_ALONG * size and np.prod(extent / size) <= MOST_VOXELS:
        return
    raise GeometryError(
        f"The fixed volume spans {' x '.join(f'{length:.3g}' for length in extent)} mm, and the model {entry.id} "
        f"sees voxels of {size:g} mm. Check the unit of the spacing, or choose the model optimise."
    )


def _shown(image: Image, mask: LabelMap | None, role: str) -> Shown:
    inside = hide_outside(image, fitted_mask(mask, image, role))
    return Shown.of(inside.array, inside.geometry, image.name)
