"""A transform applied to a folder, study or patient of the subject hierarchy; its structure is repeated."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import slicer

from ...core.errors import OutputError
from ...core.progress import Progress, silent
from ..background.steps import Steps, finish
from ..scene.rollback import children, hierarchy_of, unchanged_on_failure
from .apply import Application, can_be_moved


def apply_to_folder(item: int, application: Application, progress: Progress = silent) -> list[slicer.vtkMRMLNode]:
    """Move everything in a folder at once; see `folder_steps`."""
    return finish(folder_steps(item, application, progress))


def folder_steps(item: int, application: Application, progress: Progress = silent) -> Steps:
    """Move everything in a folder into a new folder beside it; when anything fails the scene is unchanged.

    Args:
        item: of the subject hierarchy: a folder or anything else that has items below it, or the item of one node.
        application: which transform, and how.
        progress: called for every node; may raise `Cancelled`, after which nothing is kept.

    Returns:
        The new nodes in the order of the folder. Tables, transforms and other nodes that cannot be moved are left out.

    Raises:
        OutputError: no transform, no such item, or nothing in it that can be moved.
        VoxelMorphError: a node cannot be moved; see `apply_transform`.

    Warns:
        UserWarning: lists what was left out.
    """
    application.check_transform()
    scene = application.transform_node.GetScene()
    hierarchy = hierarchy_of(scene)
    if hierarchy is None or item not in children(hierarchy, hierarchy.GetSceneItemID(), recursive=True):
        raise OutputError(f"The scene has no folder with the item number {item}. Choose a folder or a node.")
    walk = _Walk(hierarchy, application, progress)
    walk.plan(item)
    if not walk.planned:
        raise OutputError(
            f"{hierarchy.GetItemName(item)} holds nothing that a transform can be applied to. "
            "Choose a folder with volumes, segmentations, models or markups."
        )
    yield from walk.compute()
    with unchanged_on_failure(scene, []):
        walk.visit(item, hierarchy.GetItemParent(item), is_root=True)
    if walk.left_out:
        warnings.warn(f"Left out, because transforms do not move them: {', '.join(walk.left_out)}.", stacklevel=2)
    return walk.results


class _Walk:
    """One pass through a branch of the hierarchy: plan, compute, write."""

    def __init__(
        self, hierarchy: slicer.vtkMRMLSubjectHierarchyNode, application: Application, progress: Progress
    ) -> None:
        self.hierarchy, self.application, self.progress = hierarchy, application, progress
        self.planned: list[int] = []
        self.left_out: list[str] = []
        self.writes: dict[int, Callable[[], slicer.vtkMRMLNode]] = {}
        self.results: list[slicer.vtkMRMLNode] = []

    def plan(self, item: int) -> None:
        """List what will be moved, before the moved nodes are in the hierarchy too."""
        node = self._node(item)
        if can_be_moved(node):
            self.planned.append(item)
        elif node is not None:
            self.left_out.append(node.GetName())
        for child in self._below(item):
            self.plan(child)

    def compute(self) -> Steps:
        """Compute all moved nodes without changing the scene."""
        nodes = {item: self._node(item) for item in self.planned}
        for item, node in nodes.items():
            self.progress(len(self.writes) / len(nodes), f"Moving {node.GetName()}")
            self.application.check(node)
            self.writes[item] = yield from self.application.steps(node)
        for node in nodes.values():
            self.application.check(node)  # time has passed

    def visit(self, item: int, parent: int, is_root: bool = False) -> None:
        """Move one item and what is below it into `parent`."""
        below = self._below(item)
        node = self._node(item)
        if item in self.planned:
            result = self.writes[item]()
            self.results.append(result)
            parent = self.hierarchy.CreateItem(parent, result)
        elif node is None:
            name = self.hierarchy.GetItemName(item)
            parent = self.hierarchy.CreateFolderItem(parent, f"{name} moved" if is_root else name)
        for child in below:
            self.visit(child, parent)

    def _node(self, item: int) -> slicer.vtkMRMLNode | None:
        """The node of an item; the display node that only colours a folder does not count."""
        node = self.hierarchy.GetItemDataNode(item)
        return None if node is None or node.IsA("vtkMRMLDisplayNode") else node

    def _below(self, item: int) -> list[int]:
        """Items directly below an item; the segments of a segmentation do not count."""
        return [] if self.hierarchy.IsItemVirtualBranchParent(item) else children(self.hierarchy, item)
