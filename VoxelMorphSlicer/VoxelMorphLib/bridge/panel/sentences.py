"""What remains to be read of finished work; of errors one sentence, and for the log what helps to find the cause."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from slicer.i18n import tr as _

from ...core.errors import MemoryShortError, VoxelMorphError
from ..install import note_unloadable


def done(name: str, warnings: Sequence[str] = ()) -> str:
    """What is there now, and what was warned of."""
    text = _("Done: {name}").format(name=name)
    return " ".join([f"{text}.", *warnings]) if warnings else text


def sentence_of(error: Exception) -> str:
    """What to show; a fault of the program and what a worker said of its own go to the log as well.

    That a worker could not load torch is remembered, so that the next click offers to install it again.
    """
    note_unloadable(error)
    if isinstance(error, VoxelMorphError):
        if getattr(error, "details", ""):
            logging.error(error.details)
        return _with_remedy(error) if isinstance(error, MemoryShortError) else str(error)
    logging.error("VoxelMorph failed", exc_info=error)
    if isinstance(error, MemoryError):
        return _("The memory of this computer does not suffice. Crop the volumes, or close other programs.")
    text = _("This failed by a fault of VoxelMorph ({kind}: {error}). Please report it with the log.")
    return text.format(kind=type(error).__name__, error=error)


def _with_remedy(error: MemoryShortError) -> str:
    """The sentence with a remedy that only the panel has: the library knows no check boxes."""
    remedy = _(
        'Or tick "Fall back when GPU memory is short": the next click then goes on at half resolution or on the '
        "processor."
    )
    return f"{error} {remedy}"
