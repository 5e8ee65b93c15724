"""A loaded model and a pair of images to the transforms in both directions, through the start of the pair."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..core.affine import affine_root
from ..core.config import NetworkSpace
from ..core.displacement import invert_displacement
from ..core.errors import DeviceError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.progress import Progress, span
from ..core.tensors import as_array, as_tensor
from ..core.transform import IDENTITY, AffineTransform, CompositeTransform, DisplacementField, Transform
from ..networks.fields import FieldPair
from .guides import Guidance
from .intensity_scale import IntensityScale
from .masks import hide_outside
from .network_space import (
    LARGEST_FIELD,
    decode_affine,
    encode,
    encode_mask,
    field_grid,
    field_on_grid,
    intensity_scale,
    network_grid,
    not_compared,
)
from .order import precedes
from .predictor import Predictor
from .quality import coarse_grid
from .texture import FOREGROUND

#: Iterations that remove what sampling on a grid leaves between the integrals of a velocity and of its negative.
POLISHING = 12
#: Voxels so many times as large as those of the images are told.
COARSER = 1.1


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligning a pair gives.

    Args:
        forward, inverse: fixed -> moving and back: affine maps, or fields on the `field_grid`, each through the start.
        warnings: sentences about them.
        compared: how an optimisation compared the images, and why so.
        similarity: name of what it maximised; "auto" where nothing was optimised.
    """

    forward: Transform
    inverse: Transform
    warnings: tuple[str, ...] = ()
    compared: str = ""
    similarity: str = "auto"


def align(
    fixed: Image,
    moving: Image,
    start: Transform,
    predictor: Predictor,
    progress: Progress,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
    guidance: Guidance | None = None,
    mid_space: bool = False,
) -> Alignment:
    """Run a model on a pair.

    An optimisation without a network looks from the image that `order.precedes` into the other, so that the images
    swapped give the inverse; not after a start that bends.

    Args:
        fixed, moving: the images.
        start: fixed -> moving before the model.
        predictor: the model.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of their images.
        guidance: landmarks and labels that an optimisation is pulled by; networks ignore it.
        mid_space: a network sees the images halfway between them; without effect on a start that bends, and not with
            guidance.

    Raises:
        DeviceError: the memory of the device does not suffice.
        GeometryError: nothing in a mask can be compared, or the start has no half.
        ImageError: no label of the guidance is left where the images are compared.
    """
    sides = _Side(fixed, fixed_mask), _Side(moving, moving_mask)
    matrix = start.as_matrix()
    if mid_space and matrix is not None and predictor.predict is not None:
        to_grid = half_of(matrix)
        pair, grid = _exact_fields(*sides, start, predictor, progress, None, to_grid)
    elif not predictor.optimises_alone or matrix is None or precedes(fixed, moving, fixed_mask, moving_mask):
        pair, grid = _exact_fields(*sides, start, predictor, progress, guidance)
        to_grid = IDENTITY
    else:
        to_grid = AffineTransform(matrix)
        turned = None if guidance is None else guidance.swapped()
        pair, grid = _exact_fields(*sides[::-1], to_grid.inverse(), predictor, progress, turned)
        assert pair.inverse is not None, "an optimisation finds both"
        pair = replace(pair, displacement=pair.inverse, inverse=pair.displacement)
    if pair.matrix is not None:
        forward = to_grid.compose(decode_affine(pair.matrix, grid)).compose(to_grid.inverse()).compose(start)
        return Alignment(forward, inverted(forward))
    kept_on = _field_grid(sides[0], grid, to_grid, predictor)
    there = field_on_grid(pair.displacement, grid, kept_on, to_grid)
    said: tuple[str, ...] = ()
    if pair.inverse is not None:
        back = field_on_grid(pair.inverse, grid, kept_on, to_grid)
    else:
        back, said = _inverted(there)
    there = replace(there, inverse_field=back)
    similarity = "auto" if predictor.optimiser is None else predictor.optimiser.chosen
    transforms = _after(start, there), _before(inverted(start), back)
    compared = _compared(predictor, grid, fixed, moving)
    return Alignment(*transforms, said + _late(predictor), compared, similarity)


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the two images, and what of it may be looked at."""

    image: Image
    mask: LabelMap | None
    _scales: dict[str, IntensityScale] = field(default_factory=dict)

    @property
    def shown(self) -> Image:
        return hide_outside(self.image, self.mask)

    def encoded(self, grid: Geometry, space: NetworkSpace, transform: Transform) -> torch.Tensor:
        """As `encode`; the scale of the intensities is looked for once, not for every grid."""
        if space.intensity not in self._scales:
            self._scales[space.intensity] = intensity_scale(self.image, space, self.mask)
        return encode(self.image, grid, space, transform, self.mask, self._scales[space.intensity])


def _exact_fields(*arguments: Any) -> tuple[FieldPair, Geometry]:
    """As `_fields`, with an inverse that is exact, where there is one."""
    pair, grid = _fields(*arguments)
    if pair.matrix is not None or pair.inverse is None:
        return pair, grid
    exact, _residual = invert_displacement(pair.displacement, POLISHING, start=pair.inverse, check=False)
    return replace(pair, inverse=exact), grid


def _fields(
    here: _Side,
    there: _Side,
    start: Transform,
    predictor: Predictor,
    progress: Progress,
    guidance: Guidance | None,
    to_grid: AffineTransform = IDENTITY,
    found: tuple[FieldPair, Geometry] | None = None,
) -> tuple[FieldPair, Geometry]:
    """Displacements in voxels of a grid over the image here, moved `to_grid`, and that grid.

    `found` is what a network found on a coarser grid, to go on from.
    """
    if predictor.is_too_coarse(here.shown, there.image):
        network, refiner = predictor.apart()
        found = _fields(here, there, start, network, span(progress, 0.0, 0.2), None, to_grid)
        return _fields(here, there, start, refiner, span(progress, 0.2, 1.0), guidance, to_grid, found)
    space, from_grid = predictor.entry.space, to_grid.inverse()
    start = from_grid.compose(start)
    grid = _moved_along(network_grid(here.shown, predictor.space(here.shown, there.image)), to_grid)

    def encoded(voxels: Geometry) -> tuple[torch.Tensor, torch.Tensor]:
        return there.encoded(voxels, space, start), here.encoded(voxels, space, from_grid)

    images, finer = encoded(grid), predictor.detail(here.image, there.image)
    details = None if finer == 1 else encoded(grid.with_spacing(grid.spacing / finer))
    masks = encode_mask(here.mask, grid, from_grid), encode_mask(there.mask, grid, start)
    if predictor.optimiser is not None and there.mask is None:
        masks = masks[0], _field_of_view(here, there, grid, start, images[1])
    guides = None
    if guidance is not None and predictor.optimiser is not None:
        guides = guidance.on_grid(grid, start, predictor.device)
    begin = None if found is None else field_on_grid(found[0].displacement, found[1], grid).voxel_tensor()
    return _guarded(predictor, *images, progress, *masks, guides, begin, details), grid


def half_of(matrix: np.ndarray) -> AffineTransform:
    """The map that leads, applied twice, where `matrix` (4, 4) does.

    Raises:
        GeometryError: there is none, as of a reflection.
    """
    return AffineTransform(as_array(affine_root(as_tensor(matrix, torch.float64)[None])[0]))


def _moved_along(grid: Geometry, motion: AffineTransform) -> Geometry:
    """The grid with its middle where a motion brings it; its axes stay."""
    shift = np.eye(4)
    shift[:3, 3] = motion.apply_to_points(grid.centre) - grid.centre
    return grid.moved(shift)


def _field_grid(fixed: _Side, grid: Geometry, to_grid: AffineTransform, predictor: Predictor) -> Geometry:
    """`field_grid`, for the grid of a network on which a linear map leads."""
    geometry = fixed.image.geometry
    if to_grid is IDENTITY or np.prod(geometry.shape) <= LARGEST_FIELD:
        return field_grid(geometry, grid)
    space = replace(predictor.entry.space, voxel_size=float(grid.spacing.min()))
    return field_grid(geometry, network_grid(fixed.shown, space))


def _compared(predictor: Predictor, grid: Geometry, fixed: Image, moving: Image) -> str:
    """How an optimisation compared the images, and on which voxels where these are coarser than both have."""
    size = float(grid.spacing.min())
    finest = max(float(image.geometry.spacing.min()) for image in (fixed, moving))
    if not predictor.compared or size < COARSER * finest:
        return predictor.compared
    return f"{predictor.compared}; on voxels of {size:.2g} mm, because there would be too many of {finest:.2g} mm"


def _late(predictor: Predictor) -> tuple[str, ...]:
    if not predictor.late_after:
        return ()
    faster = "" if predictor.optimiser is None else ", or choose a faster refinement"
    return (
        f"The optimisation stopped at its time limit of {predictor.late_after:g} s before it was done; this is the "
        f"best that it had found. Allow more time{faster}.",
    )


def _guarded(
    predictor: Predictor, moving: torch.Tensor, fixed: torch.Tensor, progress: Progress, *others: Any
) -> FieldPair:
    try:
        return predictor.fields(moving, fixed, progress, *others)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            f"{predictor.device} has too little free memory for a grid of {'x'.join(map(str, fixed.shape[2:]))} "
            "voxels. Choose the device cpu, the precision bfloat16, or close other programs that use the GPU."
        ) from error


#: Share of the contents here beyond the field of view there from which on they are compared with nothing.
BEYOND = 0.01


def _field_of_view(
    here: _Side, there: _Side, grid: Geometry, start: Transform, shown: torch.Tensor
) -> torch.Tensor | None:
    """(1, 1, I, J, K), 1 where the image there saw the one here (`shown`); None where it saw all of it, or nothing.

    Raises:
        GeometryError: it saw nothing of what is in the mask.
    """
    places = coarse_grid(grid)
    step = round(float((places.spacing / grid.spacing).max()))
    contents = as_array(shown[0, 0, ::step, ::step, ::step]) > FOREGROUND
    geometry = there.image.geometry
    seen = geometry.holds(geometry.world_to_voxel(start.apply_to_points(places.points()[contents])))
    if not seen.any() and here.mask is not None:
        raise not_compared(here.mask, grid)
    if not seen.any() or 1 - seen.mean() <= BEYOND:
        return None
    return encode_mask(LabelMap(np.ones(geometry.shape, np.uint8), geometry, there.image.name), grid, start)


def without_deformation(found: Alignment, start: Transform) -> Alignment:
    """The start in place of what was found; where that is a field, a still one on the same grid, of the same kind."""
    first = found.forward.transforms[0] if isinstance(found.forward, CompositeTransform) else found.forward
    if not isinstance(first, DisplacementField):
        return replace(found, forward=start, inverse=inverted(start))
    still = DisplacementField(np.zeros_like(first.array), first.geometry)
    forward = replace(still, inverse_field=still)
    return replace(found, forward=_after(start, forward), inverse=_before(inverted(start), still))


def inverted(transform: Transform) -> Transform:
    """The inverse; what an initial transform lacks for an exact one is told by `initial.initial_warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return transform.inverse()


def _inverted(field: DisplacementField) -> tuple[DisplacementField, tuple[str, ...]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        inverse = field.inverse()
    return replace(inverse, inverse_field=None), tuple(str(warning.message) for warning in caught)


def _after(start: Transform, field: DisplacementField) -> Transform:
    """The field, then the start; the field alone when the start does nothing."""
    return field if _is_identity(start) else field.compose(start)


def _before(end: Transform, field: DisplacementField) -> Transform:
    return field if _is_identity(end) else end.compose(field)


def _is_identity(transform: Transform) -> bool:
    return isinstance(transform, AffineTransform) and np.allclose(transform.matrix, np.eye(4), atol=1e-9)
