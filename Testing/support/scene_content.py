"""Everything that a scene holds, as values to compare: "the scene is as before" means that two of them are equal."""

from __future__ import annotations

import itertools
import zlib
from xml.etree import ElementTree

import slicer

#: Where the data of a node are, by class.
_DATA = {
    "vtkMRMLVolumeNode": "GetImageData",
    "vtkMRMLModelNode": "GetMesh",
    "vtkMRMLTableNode": "GetTable",
    "vtkMRMLSegmentationNode": "GetSegmentation",
    "vtkMRMLSequenceNode": "GetSequenceScene",
}
#: RAS mm at which maps are looked at; using a map changes the time of its last change.
_PROBES = list(itertools.product((-40.0, -13.0, 0.0, 7.0, 25.0), repeat=3))


def content(scene) -> dict[str, dict[str, str]]:
    """Every node by its id: its XML attributes (parent transform and references among them) and its data.

    The scene is written into a string for that; nothing of it changes, and no file is written.
    """
    written = _written(scene)
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return {node.GetID(): {**_direct(node), **written.get(node.GetID(), {})} for node in nodes}


def _written(scene) -> dict[str, dict[str, str]]:
    """The XML attributes and parts of every node that is saved with the scene."""
    as_before = scene.GetSaveToXMLString()
    scene.SetSaveToXMLString(1)
    try:
        scene.Commit()
        root = ElementTree.fromstring(scene.GetSceneXMLString())
    finally:
        scene.SetSaveToXMLString(as_before)
    return {element.get("id"): _values(element) for element in root}


def _values(element: ElementTree.Element) -> dict[str, str]:
    parts = {f"part {index}": ElementTree.tostring(part, "unicode") for index, part in enumerate(element)}
    return {**element.attrib, **parts}


def _direct(node) -> dict[str, str]:
    """What XML does not say: data, points, and nodes that are not saved with the scene."""
    direct = {"class": node.GetClassName(), "name": str(node.GetName())}
    direct.update({f"attribute {name}": node.GetAttribute(name) for name in node.GetAttributeNames()})
    for kind, getter in _DATA.items():
        if node.IsA(kind):
            direct["data"] = _stamp(getattr(node, getter)())
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData():
        direct["voxels"] = str(zlib.crc32(slicer.util.arrayFromVolume(node).tobytes()))
    if node.IsA("vtkMRMLTransformNode") and node.GetTransformFromParent():
        direct["map"] = str([node.GetTransformFromParent().TransformPoint(point) for point in _PROBES])
    if node.IsA("vtkMRMLMarkupsNode"):
        indices = range(node.GetNumberOfControlPoints())
        direct["points"] = str([(node.GetNthControlPointLabel(i), node.GetNthControlPointPosition(i)) for i in indices])
    if node.IsA("vtkMRMLSegmentationNode"):
        segments = (
            node.GetSegmentation().GetNthSegment(i) for i in range(node.GetSegmentation().GetNumberOfSegments())
        )
        direct["segments"] = str([(segment.GetName(), _stamp(segment)) for segment in segments])
    return direct


def _stamp(data) -> str:
    """Which object, and when it changed last."""
    return "none" if data is None else f"{data.GetAddressAsString('')} of {data.GetMTime()}"
