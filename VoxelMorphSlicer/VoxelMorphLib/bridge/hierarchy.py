"""Places in the subject hierarchy: results beside what they were made from, folders as lists of items."""

from __future__ import annotations

import slicer
import vtk


def hierarchy_of(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSubjectHierarchyNode | None:
    """The subject hierarchy of a scene that has one; scenes of scripts need not."""
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
