"""A started pair and a loaded model in, the transforms in both directions out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.displacement import invert_displacement
from ..core.errors import DeviceError
from ..core.image import Image, LabelMap
from ..core.progress import Progress
from ..core.transform import AffineTransform, DisplacementField, Transform
from ..networks.fields import FieldPair
from .field_on_grid import field_on_grid
from .masks import hide_outside
from .matcher import Matcher
from .network_space import decode_affine, encode, encode_mask, network_grid

#: Iterations that remove what sampling on a grid leaves between the integrals of a velocity and of its negative.
POLISHING = 2


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligning a pair gives.

    Args:
        forward, inverse: fixed -> moving and back: affine maps, or fields on the fixed grid, each through the start.
        warnings: sentences about them.
    """

    forward: Transform
    inverse: Transform
    warnings: tuple[str, ...] = ()


def align(
    fixed: Image,
    moving: Image,
    start: Transform,
    matcher: Matcher,
    progress: Progress,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
) -> Alignment:
    """Run a model on a pair.

    Args:
        fixed, moving: the images.
        start: fixed -> moving before the model.
        matcher: the model.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of their images.

    Raises:
        DeviceError: the memory of the device does not suffice.
    """
    space = matcher.entry.space
    grid = network_grid(hide_outside(fixed, fixed_mask), matcher.space(fixed.geometry))
    images = encode(moving, grid, space, start, moving_mask), encode(fixed, grid, space, mask=fixed_mask)
    masks = encode_mask(fixed_mask, grid), encode_mask(moving_mask, grid, start)
    pair = _guarded(matcher, *images, progress, *masks)
    del images, masks
    if pair.matrix is not None:
        forward = decode_affine(pair.matrix, grid).compose(start)
        return Alignment(forward, forward.inverse())
    field = field_on_grid(pair.displacement, grid, fixed.geometry)
    if pair.inverse is not None:
        exact, _residual = invert_displacement(pair.displacement, POLISHING, start=pair.inverse, check=False)
        back, said = field_on_grid(exact, grid, fixed.geometry), ()
    else:
        back, said = _inverted(field)
    field = replace(field, inverse_field=back)
    return Alignment(_after(start, field), _before(start.inverse(), back), said)


def _guarded(
    matcher: Matcher, moving: torch.Tensor, fixed: torch.Tensor, progress: Progress, *masks: torch.Tensor | None
) -> FieldPair:
    try:
        return matcher.fields(moving, fixed, progress, *masks)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            f"{matcher.device} has too little free memory for a grid of {'x'.join(map(str, fixed.shape[2:]))} voxels. "
            "Choose the device cpu, the precision bfloat16, or close other programs that use the GPU."
        ) from error


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
