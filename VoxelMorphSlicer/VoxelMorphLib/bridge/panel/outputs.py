"""Which nodes a registration and what follows it write into, and which parameters then point to them."""

from __future__ import annotations

import slicer

from ..scene.result_nodes import ATTRIBUTE_PREFIX, pair_of

#: Parameter of each output of a registration.
REGISTERED = {"moved": "movedVolume", "forward": "forwardTransform", "inverse": "inverseTransform"}
#: Parameters of what follows it.
FOLLOWING = ("jacobianVolume", "movedSegmentation", "resultsTable")


def targets(parameters) -> dict[str, slicer.vtkMRMLNode | None]:
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
        if node is not None and _made_here(node):
            setattr(parameters, name, None)


def holds_other_pair(node: slicer.vtkMRMLNode, pair: tuple[slicer.vtkMRMLNode | None, ...]) -> bool:
    """Whether a registration of other volumes, or of volumes that are gone, wrote into the node."""
    return _made_here(node) and pair_of(node) != pair


def _made_here(node: slicer.vtkMRMLNode) -> bool:
    return any(name.startswith(ATTRIBUTE_PREFIX) for name in node.GetAttributeNames())
