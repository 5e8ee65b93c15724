"""Which nodes a registration writes into, and which parameters then point to them."""

from __future__ import annotations

from ..result_nodes import ATTRIBUTE_PREFIX

#: Parameter of each output of a registration.
PARAMETERS = {"moved": "movedVolume", "forward": "forwardTransform", "inverse": "inverseTransform"}


def forget_other_results(parameters) -> None:
    """Let go of outputs that hold the result of another pair of volumes, so that it is not overwritten."""
    forward = parameters.forwardTransform
    if (
        forward is None
        or not _is_result(forward)
        or _pair(forward) == (parameters.movingVolume, parameters.fixedVolume)
    ):
        return
    for name in (*PARAMETERS.values(), "jacobianVolume", "movedSegmentation", "resultsTable"):
        node = getattr(parameters, name)
        if node is not None and (_is_result(node) or name == "resultsTable"):
            setattr(parameters, name, None)


def targets(parameters) -> dict:
    """The chosen node of each output, None where one is to be created."""
    return {output: getattr(parameters, name) for output, name in PARAMETERS.items()}


def keep_nodes(parameters, nodes) -> None:
    """Point the configuration to the nodes of a finished registration."""
    for output, name in PARAMETERS.items():
        setattr(parameters, name, nodes[output])


def _is_result(node) -> bool:
    return any(name.startswith(ATTRIBUTE_PREFIX) for name in node.GetAttributeNames())


def _pair(transform) -> tuple:
    roles = (transform.GetMovingNodeReferenceRole(), transform.GetFixedNodeReferenceRole())
    return tuple(transform.GetNodeReference(role) for role in roles)
