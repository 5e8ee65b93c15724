"""What is missing before a registration or a transform can start: one sentence for the tooltip of its button."""

from __future__ import annotations

from slicer.i18n import tr as _

from ...core.errors import ImageError
from ..scene.frames import sequence_of
from .follow_up import ARGUMENTS, FOLLOWING, REGISTERED, result_pair

#: Nodes that a registration may write into; a table cannot clash with anything.
OUTPUTS = (*REGISTERED.values(), *(name for name in FOLLOWING if name != "resultsTable"))
#: What can pull a registration.
SEGMENTATIONS = ("fixedSegmentation", "movingSegmentation")
LANDMARKS = ("fixedLandmarks", "movingLandmarks")
_INPUTS = (*ARGUMENTS.values(), *SEGMENTATIONS)


def starts_from_landmarks(parameters) -> bool:
    """Whether landmarks are the start of the registration."""
    return parameters.affine.startswith("landmarks")


def offer(button, missing: str, text: str) -> None:
    """Let a button be clicked when nothing is missing.

    Args:
        button: of the panel.
        missing: why it cannot be clicked, "" when it can; its tooltip says so.
        text: what it does, its tooltip otherwise.
    """
    button.enabled = not missing
    button.toolTip = missing or text


def missing_while(busy: bool) -> str:
    """Why nothing can start while something else runs, "" when nothing does."""
    return _("A registration or an installation is running.") if busy else ""


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
    return _missing_guides(parameters) or _clash(parameters)


def missing_for_measure(parameters) -> str:
    """Why there is no result to be measured, "" when there is one."""
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    if parameters.forwardTransform is None:
        return _("There is no result to measure. Register first.")
    if None in result_pair(parameters):
        return _("Choose the fixed and the moving volume of the result.")
    return ""


def missing_for_sequence(parameters) -> str:
    """Why no sequence can be registered, "" when one can."""
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    if parameters.sequence is None:
        return _("Choose a sequence.")
    try:
        sequence = sequence_of(parameters.sequence)[0]
    except ImageError:
        return _("{name} shows no sequence; choose a sequence, or the volume that shows it.").format(
            name=parameters.sequence.GetName()
        )
    frames = sequence.GetNumberOfDataNodes()
    if not frames:
        return _("{name} has no frames; choose another sequence.").format(name=sequence.GetName())
    if parameters.sequenceReference == "volume" and parameters.fixedVolume is None:
        return _("Choose a fixed volume, or a frame as the reference.")
    if parameters.sequenceReference == "frame" and parameters.sequenceFrame > frames:
        return _("{name} has {count} frames; choose one of them.").format(name=sequence.GetName(), count=frames)
    if not parameters.model:
        return _("Choose a model.")
    return ""


def missing_for_template(parameters, name: str = "templateVolume") -> str:
    """Why nothing can be done with the template, "" when it can.

    Args:
        parameters: of the panel, None for none.
        name: of the parameter that is needed: the template, the patient, or the template's labels.
    """
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    sentences = {
        "templateVolume": _("Choose a model that makes a template."),
        "templatePatient": _("Choose the volume of a patient."),
        "templateLabels": _("Choose a segmentation or label map of the template."),
    }
    if getattr(parameters, name) is None:
        return sentences[name]
    if name == "templatePatient" and parameters.templatePatient is parameters.templateVolume:
        return _("Choose another volume than the template as patient.")
    return ""


def missing_for_apply(parameters, has_folder: bool = False) -> str:
    """Why no transform can be applied, "" when one can; a folder takes the place of a node."""
    if parameters is None:
        return _("Open the panel again: the scene was closed.")
    if parameters.appliedTransform is None:
        return _("Choose a transform.")
    if parameters.applyResult == "moved" and parameters.appliedNode is None and not has_folder:
        return _("Choose what the transform is applied to.")
    return ""


def _missing_guides(parameters) -> str:
    """Why nothing can start or pull as it shall."""
    landmarks, segmentations = ([getattr(parameters, name) for name in names] for names in (LANDMARKS, SEGMENTATIONS))
    if None in landmarks and starts_from_landmarks(parameters):
        return _("Choose fixed and moving landmarks under Advanced, or another start.")
    if None in landmarks and parameters.landmarksGuide:
        return _("Choose fixed and moving landmarks under Advanced, or do not let them pull.")
    if None in segmentations and parameters.segmentationsGuide:
        return _("Choose a fixed and a moving segmentation under Advanced, or do not let them pull.")
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
