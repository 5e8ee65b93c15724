"""Registrations of a configuration as steps: what is taken from it, where the results go, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...core.errors import Cancelled, VoxelMorphError
from ...core.progress import Progress
from ..actions.template import kept_template
from ..background.steps import Steps
from ..scene.result_nodes import warnings_of
from .follow_up import ARGUMENTS, REGISTERED, check_inputs, follow_up, targets_of
from .parameters import options_for_model
from .parameters_check import LANDMARKS, SEGMENTATIONS, starts_from_landmarks
from .progress_section import done, sentence_of
from .sequence_section import FRAME


def pair_steps(parameters, logic, progress: Progress) -> Steps:
    """Register the volumes of the configuration as it is now; gives the sentence that remains of it.

    Raises:
        VoxelMorphError: an input is unfit.
    """
    check_inputs(parameters)
    targets = targets_of(parameters)
    registration = logic.register.steps(
        **{argument: getattr(parameters, name) for argument, name in ARGUMENTS.items()},
        **_guides(parameters),
        targets={output: targets[name] for output, name in REGISTERED.items()},
        progress=progress,
        **_settings(parameters),
    )
    return _pair_steps(parameters, targets, registration, logic)


def _pair_steps(parameters, targets: dict, registration: Steps, logic) -> Steps:
    nodes = yield from registration
    for output, name in REGISTERED.items():
        setattr(parameters, name, nodes[output])
    try:
        return (yield from follow_up(parameters, targets, logic, nodes))
    except Cancelled:
        return _("Registered; what follows was cancelled")
    except Exception as error:  # the registration stands, whatever a node or VTK does afterwards
        text = _("Registered, but: {error}").format(error=sentence_of(error))
        raise VoxelMorphError(" ".join([text, *warnings_of(nodes["forward"])])) from error


def template_steps(parameters, logic, progress: Progress) -> Steps:
    """Register the patient with a copy of the template, which the sliders leave alone; gives what `pair_steps` gives.

    Raises:
        VoxelMorphError: an input is unfit.
    """
    template = kept_template(parameters.templateVolume)
    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.fixedVolume, parameters.movingVolume = template, parameters.templatePatient
    return pair_steps(parameters, logic, progress)


def template_label_steps(parameters, logic, progress: Progress) -> Steps:
    """The same, and then the template's labels on the patient; gives the sentence that remains of both.

    Raises:
        VoxelMorphError: an input is unfit.
    """
    labels, patient = parameters.templateLabels, parameters.templatePatient
    return _labelled_steps(parameters, labels, patient, template_steps(parameters, logic, progress), logic)


def _labelled_steps(parameters, labels, patient, registration: Steps, logic) -> Steps:
    text = yield from registration
    moved = yield from logic.applyTransform.steps(
        labels, parameters.forwardTransform, referenceVolume=patient, inverse=True, interpolation="multilabel"
    )
    moved.SetName(slicer.mrmlScene.GenerateUniqueName(f"{patient.GetName()} by the template"))
    return f"{text} {done(moved.GetName())}"


def sequence_steps(parameters, logic, progress: Progress) -> Steps:
    """Register the sequence of the configuration as it is now; gives the sentence that remains of it.

    Raises:
        VoxelMorphError: an input is unfit.
    """
    is_frame = parameters.sequenceReference == FRAME
    series = logic.registerSequence.steps(
        parameters.sequence,
        parameters.sequenceFrame - 1 if is_frame else parameters.fixedVolume,
        referenceMaskNode=parameters.fixedMask,
        initialNode=None if is_frame else parameters.initialTransform,
        progress=progress,
        **_settings(parameters),
    )
    return _sequence_steps(parameters, series)


def _sequence_steps(parameters, series: Steps) -> Steps:
    result = yield from series
    parameters.sequenceBrowser = result.browser
    return done(result.browser.GetName(), result.warnings)


def _guides(parameters) -> dict[str, Any]:
    """What was marked in both volumes and starts or pulls the registration, by the arguments of `logic.register`."""
    names = LANDMARKS if parameters.landmarksGuide or starts_from_landmarks(parameters) else ()
    names += SEGMENTATIONS if parameters.segmentationsGuide else ()
    return {name: getattr(parameters, name) for name in names}


def _settings(parameters) -> dict[str, Any]:
    """How to register, whatever is registered."""
    options = options_for_model(parameters)
    return {
        "model": parameters.model,
        "options": options if parameters.landmarksGuide else replace(options, landmark_weight=0.0),
        "allowFallback": parameters.allowFallback,
    }
