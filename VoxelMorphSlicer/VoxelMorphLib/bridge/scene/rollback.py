"""Changes of the scene that are undone when they fail, and places of nodes in the subject hierarchy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import slicer
import vtk


@contextmanager
def unchanged_on_failure(scene: slicer.vtkMRMLScene, nodes: Iterable[slicer.vtkMRMLNode]) -> Iterator[None]:
    """Undo what the block did when it raises: created nodes and folders go, `nodes` get their content back.

    The content is kept without copying voxels, so the block must give nodes new data, not edit the data in place.

    Args:
        scene: where nodes are created.
        nodes: existing nodes that the block may change: content, attributes, references, parent transform.
    """
    existing = {node.GetID() for node in _all_nodes(scene)}
    items = set(_all_items(scene))
    kept = [_Kept(node) for node in nodes]
    try:
        yield
    except BaseException:
        for node in _all_nodes(scene):
            if node.GetID() not in existing:
                scene.RemoveNode(node)
        _remove_items(scene, items)
        for state in kept:
            state.restore()
        raise


def hierarchy_of(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSubjectHierarchyNode | None:
    """The subject hierarchy of a scene; None where a script made a scene without one."""
    return scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")


def children(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, item: int, recursive: bool = False) -> list[int]:
    """Items directly under an item, or all below it, in their order."""
    identifiers = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, identifiers, recursive)
    return [identifiers.GetId(index) for index in range(identifiers.GetNumberOfIds())]


def place_beside(node: slicer.vtkMRMLNode, example: slicer.vtkMRMLNode) -> None:
    """Put a node into the folder, study or patient in which `example` lies."""
    hierarchy = hierarchy_of(example.GetScene())
    item = hierarchy.GetItemByDataNode(example) if hierarchy is not None else 0
    if item:
        hierarchy.CreateItem(hierarchy.GetItemParent(item), node)  # or moves the item that the node has already


def _all_nodes(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def _all_items(scene: slicer.vtkMRMLScene) -> list[int]:
    hierarchy = hierarchy_of(scene)
    return [] if hierarchy is None else children(hierarchy, hierarchy.GetSceneItemID(), recursive=True)


def _remove_items(scene: slicer.vtkMRMLScene, but: set[int]) -> None:
    """Remove what is left of the block in the subject hierarchy: its folders, and items of nodes that went."""
    for item in _all_items(scene):
        if item not in but:
            hierarchy_of(scene).RemoveItem(item, False, False)


class _Kept:
    """The content and the references of one node at one moment."""

    def __init__(self, node: slicer.vtkMRMLNode):
        self.node = node
        self.content = node.NewInstance()
        self.content.CopyContent(node, False)
        self.references = _references(node)

    def restore(self) -> None:
        with slicer.util.NodeModify(self.node):
            self.node.CopyContent(self.content, False)
            now = _references(self.node)
            for role in now.keys() | self.references.keys():
                if now.get(role) != self.references.get(role):
                    self.node.RemoveNodeReferenceIDs(role)
                    for identifier in self.references.get(role, ()):
                        self.node.AddNodeReferenceID(role, identifier)


def _references(node: slicer.vtkMRMLNode) -> dict[str, list[str]]:
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    return {
        role: [node.GetNthNodeReferenceID(role, index) for index in range(node.GetNumberOfNodeReferences(role))]
        for role in roles
    }
