"""What follows a registration: Jacobian map, moved segmentation, table of results."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..result_nodes import set_pair, warnings_of
from ..steps import Steps


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
    fixed, moving, forward = chosen.fixedVolume, chosen.movingVolume, nodes["forward"]
    if chosen.jacobianVolume is not None or chosen.overlay == "jacobian":
        yield _("Jacobian map")
        chosen.jacobianVolume = yield from logic.jacobianSteps(forward, fixed, targets["jacobianVolume"])
        set_pair(chosen.jacobianVolume, fixed, moving)
    if chosen.movingSegmentation is not None:
        yield _("Moving the segmentation")
        chosen.movedSegmentation = yield from logic.applySteps(
            chosen.movingSegmentation, forward, fixed, target=targets["movedSegmentation"]
        )
        set_pair(chosen.movedSegmentation, fixed, moving)
    yield _("Measuring")
    chosen.resultsTable = yield from logic.evaluateSteps(
        fixed,
        moving,
        nodes["moved"],
        forward,
        *_both(chosen.fixedSegmentation, chosen.movingSegmentation),
        *_both(chosen.fixedLandmarks, chosen.movingLandmarks),
        targets["resultsTable"],
        isFresh=True,
    )
    set_pair(chosen.resultsTable, fixed, moving)
    done = _("Done: {name}").format(name=chosen.movedVolume.GetName() if chosen.movedVolume else "")
    return " ".join([f"{done}.", *said]) if (said := warnings_of(forward)) else done


def jacobian_map(chosen, logic) -> Steps:
    """Make the map of a result that was registered without one; see `Steps`."""
    yield _("Jacobian map")
    chosen.jacobianVolume = yield from logic.jacobianSteps(chosen.forwardTransform, chosen.fixedVolume)
    set_pair(chosen.jacobianVolume, chosen.fixedVolume, chosen.movingVolume or chosen.fixedVolume)
    return _("Done: {name}").format(name=chosen.jacobianVolume.GetName())


def _both(fixed, moving) -> tuple:
    """Two nodes to compare, or none."""
    return (fixed, moving) if fixed is not None and moving is not None else (None, None)
