"""Sequences of volumes -> images frame by frame, and sequences of results on their way into the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from ...core.errors import ImageError
from ...core.image import Image
from .placement import matrix_to_world
from .volume_nodes import image_from_node

BROWSER_CLASS = "vtkMRMLSequenceBrowserNode"


class Frames:
    """The volumes of a sequence where the scene shows them.

    Args:
        node: sequence of scalar volumes, or the volume that shows one frame of it.
        ignored: transform that does not count where the shown volume lies under it.

    Raises:
        ImageError: the node is no sequence of volumes.
        GeometryError: the shown volume is under a non-linear parent.
    """

    def __init__(
        self,
        node: slicer.vtkMRMLSequenceNode | slicer.vtkMRMLScalarVolumeNode,
        ignored: slicer.vtkMRMLTransformNode | None = None,
    ):
        self.sequence, self.proxy = sequence_of(node)
        if not holds_volumes(self.sequence):
            raise ImageError(
                f"{self.sequence.GetName()} is a sequence without volumes. Choose a sequence of scalar volumes."
            )
        #: (4, 4), own coordinates of the frames -> world.
        self.to_world = np.eye(4) if self.proxy is None else matrix_to_world(self.proxy, ignored)

    def __len__(self) -> int:
        return self.sequence.GetNumberOfDataNodes()

    def image(self, index: int, role: str) -> Image:
        """One frame, checked for its role "fixed" or "moving"."""
        return image_from_node(self.sequence.GetNthDataNode(index), role, self.to_world)

    def title(self, index: int) -> str:
        """A frame's name in messages, see `frame_title`."""
        return frame_title(self.sequence, index)

    def like(self, name: str) -> slicer.vtkMRMLSequenceNode:
        """An empty sequence with the same kind of index, see `empty_like`."""
        return empty_like(self.sequence, name)


def frame_title(sequence: slicer.vtkMRMLSequenceNode, index: int) -> str:
    """A frame's name in messages: "frame 3 of 10 (time 2.5 s)"."""
    parts = (sequence.GetIndexName(), sequence.GetNthIndexValue(index), sequence.GetIndexUnit())
    words = " ".join(part for part in parts if part)
    return f"frame {index + 1} of {sequence.GetNumberOfDataNodes()} ({words})"


def empty_like(sequence: slicer.vtkMRMLSequenceNode, name: str) -> slicer.vtkMRMLSequenceNode:
    """An empty sequence with the same kind of index; it belongs to no scene yet."""
    result = slicer.vtkMRMLSequenceNode()
    result.SetName(name)
    result.SetIndexName(sequence.GetIndexName())
    result.SetIndexUnit(sequence.GetIndexUnit())
    result.SetIndexType(sequence.GetIndexType())
    result.SetNumericIndexValueTolerance(sequence.GetNumericIndexValueTolerance())
    return result


def holds_volumes(node: slicer.vtkMRMLNode | None) -> bool:
    """Whether a node is a sequence of volumes."""
    if not isinstance(node, slicer.vtkMRMLSequenceNode) or not node.GetNumberOfDataNodes():
        return False
    return isinstance(node.GetNthDataNode(0), slicer.vtkMRMLScalarVolumeNode)


def add_sequences(
    scene: slicer.vtkMRMLScene, sequences: Sequence[slicer.vtkMRMLSequenceNode], name: str
) -> slicer.vtkMRMLSequenceBrowserNode:
    """Add sequences to a scene, under unique names, with a browser that shows them together.

    Args:
        scene: receives them.
        sequences: the first one leads.
        name: of the browser.
    """
    for node in sequences:
        node.SetName(scene.GenerateUniqueName(node.GetName()))
        scene.AddNode(node)
    browser = scene.AddNewNodeByClass(BROWSER_CLASS, scene.GenerateUniqueName(name))
    browser.SetAndObserveMasterSequenceNodeID(sequences[0].GetID())
    for node in sequences[1:]:
        browser.AddSynchronizedSequenceNode(node)
    return browser


def sequence_of(
    node: slicer.vtkMRMLNode | None,
) -> tuple[slicer.vtkMRMLSequenceNode, slicer.vtkMRMLScalarVolumeNode | None]:
    """The sequence of a node, and the volume that shows it, where there is one.

    Raises:
        ImageError: the node is neither a sequence nor a volume that shows one.
    """
    for browser in _browsers(node):
        if isinstance(node, slicer.vtkMRMLSequenceNode) and browser.GetProxyNode(node) is not None:
            return node, browser.GetProxyNode(node)
        if not isinstance(node, slicer.vtkMRMLSequenceNode) and browser.GetSequenceNode(node) is not None:
            return browser.GetSequenceNode(node), node
    if isinstance(node, slicer.vtkMRMLSequenceNode):
        return node, None
    found = "nothing" if node is None else f"{node.GetName()}, which shows no sequence"
    raise ImageError(f"A sequence of volumes is needed, got {found}. Choose a sequence, or the volume that shows it.")


def _browsers(node: slicer.vtkMRMLNode | None) -> list[slicer.vtkMRMLSequenceBrowserNode]:
    scene = node.GetScene() if node is not None else None
    return [] if scene is None else list(slicer.util.getNodesByClass(BROWSER_CLASS, scene))
