"""Which nodes a registration and what follows it write into, and which parameters then point to them."""

from __future__ import annotations

import slicer

from ..result_nodes import ATTRIBUTE_PREFIX

#: Parameter of each output of a registration.
REGISTERED = {"moved": "movedVolume", "forward": "forwardTransform", "inverse": "inverseTransform"}
#: Parameters of what follows it.
FOLLOWING = ("jacobianVolume", "movedSegmentation", "resultsTable")


def targets(parameters) -> dict[str, slicer.vtkMRMLNode | None]:
    """The node that each parameter in `REGISTERED` and `FOLLOWING` gives to receive its output, None to create one.

    Outputs that hold the result of another pair of volumes are not offered, so that they are not overwritten.
    """
    names = (*REGISTERED.values(), *FOLLOWING)
    chosen = {name: getattr(parameters, name) for name in names}
    if _holds_other_pair(parameters):
        return {name: None if node is not None and _is_result(node) else node for name, node in chosen.items()}
    return chosen


def _holds_other_pair(parameters) -> bool:
    forward = parameters.forwardTransform
    if forward is None or not _is_result(forward):
        return False
    roles = (forward.GetMovingNodeReferenceRole(), forward.GetFixedNodeReferenceRole())
    return [forward.GetNodeReference(role) for role in roles] != [parameters.movingVolume, parameters.fixedVolume]


def _is_result(node: slicer.vtkMRMLNode) -> bool:
    """Whether a registration wrote into the node; tables and maps are made by nothing else."""
    made_here = any(name.startswith(ATTRIBUTE_PREFIX) for name in node.GetAttributeNames())
    return made_here or not isinstance(node, (slicer.vtkMRMLTransformNode, slicer.vtkMRMLVolumeNode))
