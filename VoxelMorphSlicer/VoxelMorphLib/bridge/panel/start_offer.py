"""A moving volume that lies under a transform that bends, as a reopened scene has it: offered as the start."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..scene.placement import bending_parent
from ..scene.result_nodes import is_result, pair_of
from ..scene.scene_path import ScenePath
from .follow_up import targets_of


def offer_start(parameters) -> None:
    """Ask whether a registration starts from the transform that bends the moving volume; store it if so.

    Nothing is asked where an initial transform is chosen, or where the transform is the one that will be replaced.
    """
    moving = parameters.movingVolume
    if moving is None or parameters.initialTransform is not None:
        return
    parent = bending_parent(moving, *_replaced(parameters))
    if parent is None:
        return
    if slicer.util.confirmYesNoDisplay(_question(moving, parent), _("Start of the registration")):
        parameters.initialTransform = parent


def _replaced(parameters) -> tuple:
    """The transform that the registration writes into, where it is of the same pair, with what it contains."""
    target = targets_of(parameters)["forwardTransform"]
    if target is None or pair_of(target) != (parameters.fixedVolume, parameters.movingVolume):
        return ()
    return ScenePath(target).own_nodes()


def _question(moving, parent) -> str:
    made = _(", which an earlier registration made") if is_result(parent) else ""
    text = _(
        "{moving} lies under the transform {parent}{made}. Start from there? The new transform then contains it: place "
        "{moving} under the new one instead."
    )
    return text.format(moving=moving.GetName(), parent=parent.GetName(), made=made)
