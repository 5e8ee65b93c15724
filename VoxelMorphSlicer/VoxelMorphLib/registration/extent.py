"""The extent of the grid of SynthMorph's models: whole heads, or brains where the memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..core.image import Image
from ..weights.entry import LARGE_EXTENT, SMALL_EXTENT, takes_extent
from .memory_need import fits, memory_need
from .predictor import Predictor


def on_extent(
    fixed: Image, moving: Image, predictor: Predictor, extent: str, make_room: Callable[[], None]
) -> Predictor:
    """The model on the grid that is chosen, with a warning where another one is taken than usually.

    Args:
        fixed, moving: the pair.
        predictor: its model.
        extent: "192", "256", or "auto" for what the memory of the processor allows.
        make_room: frees what was only kept to be faster.
    """
    if not takes_extent(predictor.entry) or extent == str(LARGE_EXTENT):
        return predictor
    smaller = _on(predictor, SMALL_EXTENT)
    if extent == str(SMALL_EXTENT):
        return smaller
    if fits(memory_need(fixed, moving, predictor)):
        return predictor
    make_room()
    if fits(memory_need(fixed, moving, predictor)):
        return predictor
    said = (
        f"The memory does not suffice for {predictor.entry.id} on {LARGE_EXTENT} voxels along each axis, so "
        f"{SMALL_EXTENT} were taken around the middle of the fixed volume. Close other programs, or choose the extent "
        "yourself."
    )
    return replace(smaller, warnings=(*smaller.warnings, said))


def _on(predictor: Predictor, extent: int) -> Predictor:
    """The same model on a cube that is not lengthened for what lies beyond it."""
    space = replace(predictor.entry.space, shape=(extent,) * 3, lengthen=False)
    return replace(predictor, entry=replace(predictor.entry, space=space))
