"""Fields between two images by way of a third, such as a template."""

from __future__ import annotations

from torch import Tensor

from ..core.displacement import compose, invert_displacement
from .fields import FieldPair


def fields_through(to_moving: FieldPair, to_fixed: FieldPair) -> FieldPair:
    """Move the moving image onto the fixed one by way of the image that both were registered with.

    Args:
        to_moving: moves the third image onto the moving one.
        to_fixed: moves the third image onto the fixed one.

    Returns:
        No velocity. The displacement takes a point of the fixed image to the third one, and from there to the moving
        one.
    """
    return FieldPair(
        velocity=None,
        displacement=compose([_inverse(to_moving), to_fixed.displacement]),
        inverse=compose([_inverse(to_fixed), to_moving.displacement]),
    )


def _inverse(pair: FieldPair) -> Tensor:
    return invert_displacement(pair.displacement)[0] if pair.inverse is None else pair.inverse
