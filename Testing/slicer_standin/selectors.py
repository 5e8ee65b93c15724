"""qMRMLNodeComboBox and qMRMLSubjectHierarchyComboBox: a choice among the nodes or the items of a scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .mrml_widgets import Observations
from .strict import emit, inner, strict

_FLAGS = {
    "noneEnabled": False,
    "addEnabled": True,
    "removeEnabled": True,
    "editEnabled": False,
    "renameEnabled": False,
    "showHidden": False,
    "showChildNodeTypes": True,
    "selectNodeUponCreation": True,
}
_TEXTS = {"noneDisplay": "None", "baseName": "", "interactionNodeSingletonTag": ""}


def _listed(name: str, kind: type | str):
    """A property that changes what the box lists."""

    def write(self, value) -> None:
        self._options[name] = value
        self._refresh()

    return Property(kind, lambda self: self._options[name], write)


@stand_in(
    methods=[
        *("addAttribute", "addNode", "currentNode", "mrmlScene", "nodeCount", "nodeFromIndex", "nodeTypeLabel"),
        *("removeAttribute", "removeCurrentNode", "renameCurrentNode", "setCurrentNode", "setCurrentNodeID"),
        *("setCurrentNodeIndex", "setMRMLScene", "setNodeTypeLabel"),
    ],
    signals=[
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeChanged(bool)",
        "currentNodeIDChanged(QString)",
        "currentNodeRenamed(QString)",
        "nodeAddedByUser(vtkMRMLNode*)",
        "nodeAdded(vtkMRMLNode*)",
        "nodeActivated(vtkMRMLNode*)",
    ],
)
class qMRMLNodeComboBox(strict(QtWidgets.QWidget)):
    """Disabled without a scene; a node id asked for before there is a scene is remembered.

    Nodes that appear in the scene are listed but not selected.
    """

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    currentNodeRenamed = Signal(str)
    nodeAddedByUser = Signal(object)
    nodeAdded = Signal(object)
    nodeActivated = Signal(object)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        layout = inner(QtWidgets.QHBoxLayout(self))
        layout.setContentsMargins(0, 0, 0, 0)
        self._box = inner(QtWidgets.QComboBox())
        layout.addWidget(self._box)
        self._options = {**_FLAGS, **_TEXTS, "nodeTypes": [], "hideChildNodeTypes": []}
        self._scene, self._attributes, self._labels = None, [], {}
        self._observations = Observations(self)
        self._current = self._requested = ""
        self.enabled = False
        self._box.currentIndexChanged.connect(self._picked)
        self._box.activated.connect(lambda _index: emit(self, "nodeActivated", self.currentNode()))

    def _accepts(self, node) -> bool:
        """Source: qMRMLSortFilterProxyModel::filterAcceptsNode."""
        options = self._options
        if node.GetHideFromEditors() and not options["showHidden"]:
            return False
        for kind in filter(node.IsA, options["nodeTypes"]):
            if options["showChildNodeTypes"]:
                return not any(map(node.IsA, options["hideChildNodeTypes"])) and self._has_attributes(node, kind)
            if kind == node.GetClassName():
                return self._has_attributes(node, kind)
        return not options["nodeTypes"]

    def _has_attributes(self, node, kind: str) -> bool:
        asked = [(name, value) for cls, name, value in self._attributes if cls == kind]
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == str(value))
            for name, value in asked
        )

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in nodes if self._accepts(node)]

    def _refresh(self, *_event) -> None:
        """List the nodes anew; the current one stays unless it is gone."""
        blocked = QtCore.QSignalBlocker(self._box)
        self._box.clear()
        nodes = self._nodes()
        if self._options["noneEnabled"]:
            self._box.addItem(self._options["noneDisplay"], "")
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        current = self._current if self._current in [node.GetID() for node in nodes] else ""
        self._box.setCurrentIndex(self._box.findData(current))
        blocked.unblock()
        self._become(current)

    def _picked(self, index: int) -> None:
        self._become(self._box.itemData(index) or "" if index >= 0 else "")

    def _become(self, node_id: str) -> None:
        if node_id != self._current:
            self._current = node_id
            emit(self, "currentNodeChanged", self.currentNode())
            emit(self, "currentNodeIDChanged", node_id)

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """List the nodes of `scene` and follow its changes."""
        self._observations.clear()
        self._scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._observations.add(scene, *events, self._refresh)
        self._refresh()
        requested, self._requested = self._requested, ""
        if requested:
            self.setCurrentNodeID(requested)
        self.enabled = scene is not None

    def currentNode(self):
        """The chosen node, or None."""
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def setCurrentNode(self, node) -> None:
        """A node, or None; not an id."""
        if isinstance(node, str):
            raise TypeError("setCurrentNode takes a node; use setCurrentNodeID")
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        """A node that is not listed selects nothing."""
        if self._scene is None:
            self._requested = node_id or ""
            return
        node_id = node_id if node_id and self._box.findData(node_id) >= 0 else ""
        blocked = QtCore.QSignalBlocker(self._box)
        self._box.setCurrentIndex(self._box.findData(node_id))
        blocked.unblock()
        self._become(node_id)

    def setCurrentNodeIndex(self, index: int) -> None:
        """Position among the listed nodes."""
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        """How many nodes are listed, "None" left out."""
        return len(self._nodes())

    def nodeFromIndex(self, index: int):
        """The listed node at this position, or None."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, node_class: str = ""):
        """What "Create new" of the menu does; None for a class that is not among `nodeTypes`."""
        node_class = node_class or next(iter(self._options["nodeTypes"]), "")
        if node_class not in self._options["nodeTypes"]:
            return None
        node = self._scene.AddNode(self._instantiated(node_class))
        if self._options["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        emit(self, "nodeAddedByUser", node)
        return node

    def _instantiated(self, node_class: str):
        """Named, and with the attributes by which nodes are listed. Source: qMRMLNodeFactory::createNode."""
        node = self._scene.CreateNodeByClass(node_class)
        node.UnRegister(None)
        base = self._options["baseName"] or ("" if node.GetName() else node.GetDefaultNodeNamePrefix())
        if base:
            node.SetName(self._scene.GetUniqueNameByString(base))
        for _cls, name, value in self._attributes:
            node.SetAttribute(name, "" if value is None else str(value))
        return node

    def renameCurrentNode(self) -> None:
        """What "Rename current" of the menu does: ask for the new name; "" keeps the old one."""
        import qt

        node = self.currentNode()
        if node is None:
            return
        name = qt.QInputDialog.getText(None, "Rename", "New name:", 0, node.GetName())
        if name:
            node.SetName(name)
            self._refresh()
            emit(self, "currentNodeRenamed", name)

    def removeCurrentNode(self) -> None:
        """Delete the chosen node from the scene."""
        self._scene.RemoveNode(self.currentNode())

    def addAttribute(self, node_class: str, name: str, value=None) -> None:
        """List nodes of this class only when they have the attribute, with `value` where one is given."""
        self._attributes.append((node_class, name, value))
        self._refresh()

    def removeAttribute(self, node_class: str, name: str) -> None:
        """Undo `addAttribute`."""
        self._attributes = [item for item in self._attributes if item[:2] != (node_class, name)]
        self._refresh()

    def setNodeTypeLabel(self, label: str, node_class: str) -> None:
        """How the menu calls nodes of this class."""
        self._labels[node_class] = label

    def nodeTypeLabel(self, node_class: str) -> str:
        """What `setNodeTypeLabel` set."""
        return self._labels.get(node_class, "")

    currentNodeID = Property(str, lambda self: self._current, setCurrentNodeID)
    nodeTypes = _listed("nodeTypes", "QStringList")
    hideChildNodeTypes = _listed("hideChildNodeTypes", "QStringList")
    noneEnabled = _listed("noneEnabled", bool)
    noneDisplay = _listed("noneDisplay", str)
    showHidden = _listed("showHidden", bool)
    showChildNodeTypes = _listed("showChildNodeTypes", bool)
    addEnabled = _listed("addEnabled", bool)
    removeEnabled = _listed("removeEnabled", bool)
    editEnabled = _listed("editEnabled", bool)
    renameEnabled = _listed("renameEnabled", bool)
    selectNodeUponCreation = _listed("selectNodeUponCreation", bool)
    baseName = _listed("baseName", str)
    interactionNodeSingletonTag = _listed("interactionNodeSingletonTag", str)


@stand_in(
    methods=["clearSelection", "currentItem", "currentNode", "mrmlScene", "setCurrentItem", "setMRMLScene"],
    signals=["currentItemChanged(vtkIdType)"],
)
class qMRMLSubjectHierarchyComboBox(strict(QtWidgets.QComboBox)):
    """Items are numbers, valid until the scene is closed; 0 is none.

    The stand-in lists all items one below the other, and makes no subject hierarchy for a scene without one.
    """

    currentItemChanged = Signal(object)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._scene = self._hierarchy = None
        self._current, self._none = 0, True
        self._scene_observations, self._observations = Observations(self), Observations(self)
        QtWidgets.QComboBox.currentIndexChanged.__get__(self).connect(self._picked)

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """List the items of a scene and follow its changes."""
        self._scene_observations.clear()
        self._scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._scene_observations.add(scene, *events, self._refresh)
        self._refresh()

    def currentItem(self) -> int:
        """Number of the chosen item, 0 for none."""
        return self._current

    def currentNode(self):
        """The node of the chosen item; folders have none."""
        return self._hierarchy.GetItemDataNode(self._current) if self._current else None

    def setCurrentItem(self, item: int) -> None:
        """An item that is not listed selects nothing."""
        index = QtWidgets.QComboBox.findData(self, item)
        QtWidgets.QComboBox.setCurrentIndex(self, max(index, 0) if self._none else index)

    def clearSelection(self) -> None:
        """Choose none."""
        self.setCurrentItem(0)

    def _refresh(self, *_event) -> None:
        self._follow()
        items = self._items()
        blocked = QtCore.QSignalBlocker(self)
        QtWidgets.QComboBox.clear(self)
        if self._none:
            QtWidgets.QComboBox.addItem(self, "None", 0)
        for item in items:
            QtWidgets.QComboBox.addItem(self, self._hierarchy.GetItemName(item), item)
        current = self._current if self._current in items else 0
        QtWidgets.QComboBox.setCurrentIndex(self, QtWidgets.QComboBox.findData(self, current))
        blocked.unblock()
        self._become(current)

    def _follow(self) -> None:
        """Observe the subject hierarchy, which may come later than the scene."""
        found = self._scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") if self._scene else None
        if found is self._hierarchy:
            return
        self._observations.clear()
        self._hierarchy = found
        if found is not None:
            kind = slicer.vtkMRMLSubjectHierarchyNode
            events = (kind.SubjectHierarchyItemAddedEvent, kind.SubjectHierarchyItemRemovedEvent)
            self._observations.add(found, *events, kind.SubjectHierarchyItemReparentedEvent, self._refresh)

    def _items(self) -> list[int]:
        if self._hierarchy is None:
            return []
        listed = vtk.vtkIdList()
        self._hierarchy.GetItemChildren(self._hierarchy.GetSceneItemID(), listed, True)
        return [listed.GetId(index) for index in range(listed.GetNumberOfIds())]

    def _picked(self, index: int) -> None:
        self._become(QtWidgets.QComboBox.itemData(self, index) or 0 if index >= 0 else 0)

    def _become(self, item: int) -> None:
        if item != self._current:
            self._current = item
            emit(self, "currentItemChanged", item)

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled
        self._refresh()

    noneEnabled = Property(bool, lambda self: self._none, _set_none)
