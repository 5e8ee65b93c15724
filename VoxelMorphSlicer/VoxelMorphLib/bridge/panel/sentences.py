"""Errors of any kind -> one sentence for the user, and for the log what helps to find the cause."""

from __future__ import annotations

import logging

from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from ..packages import note_unloadable


def sentence_of(error: Exception) -> str:
    """What to show; a fault of the program and what a worker said of its own go to the log as well.

    That a worker could not load torch is remembered, so that the next click offers to install it again.
    """
    note_unloadable(error)
    if isinstance(error, VoxelMorphError):
        if getattr(error, "details", ""):
            logging.error(error.details)
        return str(error)
    logging.error("VoxelMorph failed", exc_info=error)
    if isinstance(error, MemoryError):
        return _("The memory of this computer does not suffice. Crop the volumes, or close other programs.")
    text = _("This failed by a fault of VoxelMorph ({kind}: {error}). Please report it with the log.")
    return text.format(kind=type(error).__name__, error=error)
