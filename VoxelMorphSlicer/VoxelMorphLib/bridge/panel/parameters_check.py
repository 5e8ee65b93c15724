"""What is missing before a registration or a transform can start, as one sentence for a tooltip."""

from __future__ import annotations

from slicer.i18n import tr as _

OUTPUTS = ("movedVolume", "forwardTransform", "inverseTransform", "jacobianVolume", "movedSegmentation")
_INPUTS = (
    *("fixedVolume", "movingVolume", "initialTransform", "fixedMask", "movingMask"),
    *("fixedSegmentation", "movingSegmentation"),
)


def missing_for_register(parameters) -> str:
    """Why no registration can start, "" when it can."""
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    if parameters.fixedVolume is None:
        return _("Choose a fixed volume.")
    if parameters.movingVolume is None:
        return _("Choose a moving volume.")
    if parameters.fixedVolume is parameters.movingVolume:
        return _("Choose two different volumes.")
    if not parameters.model:
        return _("Choose a model.")
    return _clash(parameters)


def missing_for_apply(parameters) -> str:
    """Why no transform can be applied, "" when one can."""
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    if parameters.appliedTransform is None:
        return _("Choose a transform.")
    if parameters.appliedNode is None:
        return _("Choose what the transform is applied to.")
    return ""


def _clash(parameters) -> str:
    """An output that is an input or another output."""
    taken = [node for node in (getattr(parameters, name) for name in _INPUTS) if node is not None]
    for name in OUTPUTS:
        node = getattr(parameters, name)
        if node is None:
            continue
        if node in taken:
            return _("{name} is chosen twice; choose another output.").format(name=node.GetName())
        taken.append(node)
    return ""
