"""What follows a registration: the nodes it writes into, Jacobian map, moved segmentation, table of results."""

from __future__ import annotations

from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ..actions.segment import finds_labels
from ..background.steps import Steps
from ..scene.landmarks import landmark_pairs
from ..scene.result_nodes import is_result, pair_of, set_pair, warnings_of, worse_of
from ..scene.segment_layers import check_segments
from .progress_section import done

#: Parameters whose nodes are read from.
_INPUTS = (
    "fixedVolume",
    "movingVolume",
    "fixedSegmentation",
    "movingSegmentation",
    "fixedLandmarks",
    "movingLandmarks",
)

#: Parameter of each node that `logic.register` reads, by the names of its arguments.
ARGUMENTS = {
    "fixedNode": "fixedVolume",
    "movingNode": "movingVolume",
    "initialNode": "initialTransform",
    "fixedMaskNode": "fixedMask",
    "movingMaskNode": "movingMask",
}
#: Parameter of each output that `write_registration` makes; what is made afterwards stands in FOLLOWING.
REGISTERED = {"moved": "movedVolume", "forward": "forwardTransform", "inverse": "inverseTransform"}
#: Parameters of what follows it.
FOLLOWING = ("jacobianVolume", "movedSegmentation", "resultsTable")


def check_inputs(chosen) -> None:
    """Refuse before a registration what cannot be carried along or measured after it.

    Raises:
        ImageError: landmarks that cannot be paired, or a segmentation without segments.
    """
    landmarks = _both(chosen.fixedLandmarks, chosen.movingLandmarks)
    if None not in landmarks:
        landmark_pairs(*landmarks)
    for segmentation in (chosen.fixedSegmentation, chosen.movingSegmentation):
        if isinstance(segmentation, slicer.vtkMRMLSegmentationNode):
            check_segments(segmentation)


def follow_up(chosen, targets: dict, logic, nodes: dict) -> Steps:
    """Make what the configuration asks for and point it to the results; see `Steps`.

    Args:
        chosen: the configuration.
        targets: node of each parameter that receives its output, None to create one.
        logic: makes the steps.
        nodes: "moved" and "forward" of the registration.

    Returns:
        The sentence that remains.
    """
    # Read at once: a configuration forgets what leaves the scene, so that nobody could say later what is gone.
    inputs = _inputs_of(chosen)
    inputs.finder = chosen.model if chosen.movingSegmentation is None and finds_labels(chosen.model) else ""
    inputs.device = chosen.device
    inputs.jacobian = chosen.jacobianVolume is not None or chosen.overlay == "jacobian"
    forget_earlier(chosen)
    return _following(chosen, inputs, targets, logic, nodes)


def _following(chosen, inputs, targets: dict, logic, nodes: dict) -> Steps:
    fixed, moving, forward = inputs.fixedVolume, inputs.movingVolume, nodes["forward"]
    if inputs.jacobian:
        yield _("Jacobian map")
        chosen.jacobianVolume = yield from logic.jacobian.steps(forward, fixed, targets["jacobianVolume"])
        set_pair(chosen.jacobianVolume, fixed, moving)
    if inputs.movingSegmentation is not None:
        yield _("Moving the segmentation")
        source, target = inputs.movingSegmentation, targets["movedSegmentation"]
        if target is not None and target.GetClassName() != source.GetClassName():
            target = None  # segmentations do not go into label maps, nor the other way
        chosen.movedSegmentation = yield from logic.applyTransform.steps(source, forward, fixed, target=target)
        set_pair(chosen.movedSegmentation, fixed, moving)
    elif inputs.finder:
        yield _("Finding labels")
        target = targets["movedSegmentation"]
        if not isinstance(target, slicer.vtkMRMLSegmentationNode):
            target = None
        chosen.movedSegmentation = yield from logic.segment.steps(fixed, inputs.finder, target, inputs.device)
        set_pair(chosen.movedSegmentation, fixed, moving)
    seen = fixed, moving, nodes["moved"], forward
    yield from _measuring(chosen, seen, _drawn(inputs), targets["resultsTable"], logic, isFresh=True)
    return done(chosen.movedVolume.GetName() if chosen.movedVolume else "", warnings_of(forward), worse_of(forward))


def measured_again(chosen, logic) -> Steps:
    """Measure a result with what was drawn or chosen after it; see `Steps`.

    Raises:
        ImageError: as `check_inputs`.
    """
    nodes, drawn = evaluated_nodes(chosen)
    table = chosen.resultsTable
    target = None if table is None or holds_other_pair(table, nodes[:2]) else table
    return _again(chosen, nodes, drawn, target, logic)


def evaluated_nodes(chosen) -> tuple[tuple, tuple]:
    """The nodes of a result, and those that were drawn in both volumes, in the order in which `logic` takes them.

    Raises:
        ImageError: as `check_inputs`.
    """
    check_inputs(chosen)
    pair, moved = result_pair(chosen), chosen.movedVolume
    shown = None if moved is None or pair_of(moved) != pair else moved
    return (*pair, shown, chosen.forwardTransform), _drawn(chosen)


def _again(chosen, nodes: tuple, drawn: tuple, target, logic) -> Steps:
    yield from _measuring(chosen, nodes, drawn, target, logic, isFresh=False)
    return done(chosen.resultsTable.GetName())


def _measuring(chosen, nodes: tuple, drawn: tuple, target, logic, isFresh: bool) -> Steps:
    yield _("Measuring")
    table = yield from logic.evaluate.steps(*nodes, *drawn, target, isFresh=isFresh)
    set_pair(table, *nodes[:2])
    chosen.resultsTable = table  # complete, so that the view fits its columns to what they hold


def _drawn(inputs) -> tuple:
    """Segmentations and landmarks, each of both volumes or none."""
    return (
        *_both(inputs.fixedSegmentation, inputs.movingSegmentation),
        *_both(inputs.fixedLandmarks, inputs.movingLandmarks),
    )


def result_pair(chosen) -> tuple:
    """Fixed and moving volume of the forward transform: those of its registration, else those that are chosen."""
    fixed, moving = pair_of(chosen.forwardTransform)  # other volumes may be chosen by now
    return fixed or chosen.fixedVolume, moving or chosen.movingVolume


def jacobian_map(chosen, logic) -> Steps:
    """Make the map of a result that was registered without one; see `Steps`."""
    fixed, moving = result_pair(chosen)
    return _mapping(chosen, chosen.forwardTransform, (fixed, moving or fixed), logic)


def _mapping(chosen, forward, pair: tuple, logic) -> Steps:
    yield _("Jacobian map")
    jacobian = yield from logic.jacobian.steps(forward, pair[0])
    set_pair(jacobian, *pair)
    chosen.jacobianVolume = jacobian
    return done(jacobian.GetName())


def _inputs_of(chosen) -> SimpleNamespace:
    return SimpleNamespace(**{name: getattr(chosen, name) for name in _INPUTS})


def _both(fixed, moving) -> tuple:
    """Two nodes to compare, or none."""
    return (fixed, moving) if fixed is not None and moving is not None else (None, None)


def targets_of(parameters) -> dict[str, slicer.vtkMRMLNode | None]:
    """The node that each parameter in `REGISTERED` and `FOLLOWING` gives to receive its output, None to create one.

    Outputs that hold the result of another pair of volumes are not offered, so that they are not overwritten.
    """
    pair = (parameters.fixedVolume, parameters.movingVolume)
    chosen = {name: getattr(parameters, name) for name in (*REGISTERED.values(), *FOLLOWING)}
    return {name: None if node is not None and holds_other_pair(node, pair) else node for name, node in chosen.items()}


def forget_earlier(parameters) -> None:
    """Point to nothing that followed an earlier registration, so that nobody takes it for a part of the new one."""
    for name in FOLLOWING:
        node = getattr(parameters, name)
        if node is not None and is_result(node):
            setattr(parameters, name, None)


def holds_other_pair(node: slicer.vtkMRMLNode, pair: tuple[slicer.vtkMRMLNode | None, ...]) -> bool:
    """Whether a registration of other volumes, or of volumes that are gone, wrote into the node."""
    return is_result(node) and pair_of(node) != pair
