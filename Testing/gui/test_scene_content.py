"""Whatever changes in a scene makes its content another one; looking at it does not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")

import slicer
from support.scene_content import content
from support.segmentations import add_segmentation
from support.volumes import a_geometry
from VoxelMorphLib.core.image import LabelMap


@pytest.fixture
def nodes(scene, volumes):
    """A volume, a transform, landmarks, a table and a segmentation."""
    kinds = {"transform": "LinearTransform", "points": "MarkupsFiducial", "table": "Table"}
    made = {name: scene.AddNewNodeByClass(f"vtkMRML{kind}Node", name) for name, kind in kinds.items()}
    made["points"].AddControlPoint(1, 2, 3, "a")
    inside = LabelMap(np.ones((4, 4, 4), np.uint8), a_geometry("RAS", (4, 4, 4)))
    return {"volume": volumes[0], "masks": add_segmentation("masks", [inside], [("a", "inside", 0, 1)]), **made}


def turn_voxels(nodes) -> None:
    slicer.util.arrayFromVolume(nodes["volume"])[3, 4, 5] += 1


def shift(nodes) -> None:
    matrix = slicer.util.arrayFromTransformMatrix(nodes["transform"])
    matrix[0, 3] = 1
    slicer.util.updateTransformMatrixFromArray(nodes["transform"], matrix)


CHANGES = {
    "name": lambda nodes: nodes["volume"].SetName("other"),
    "attribute": lambda nodes: nodes["volume"].SetAttribute("VoxelMorph.Fixed", "x"),
    "parent transform": lambda nodes: nodes["volume"].SetAndObserveTransformNodeID(nodes["transform"].GetID()),
    "reference": lambda nodes: nodes["points"].SetNodeReferenceID("pair", nodes["volume"].GetID()),
    "grid": lambda nodes: nodes["volume"].SetSpacing(1, 2, 3),
    "voxels": turn_voxels,
    "window": lambda nodes: nodes["volume"].GetDisplayNode().SetThreshold(1, 2),
    "map": shift,
    "point": lambda nodes: nodes["points"].SetNthControlPointPosition(0, 1, 2, 4),
    "label": lambda nodes: nodes["points"].SetNthControlPointLabel(0, "b"),
    "table": lambda nodes: nodes["table"].AddColumn(),
    "segment": lambda nodes: nodes["masks"].GetSegmentation().GetNthSegment(0).SetName("other"),
    "segment removed": lambda nodes: nodes["masks"].GetSegmentation().RemoveSegment("a"),
    "node": lambda nodes: nodes["volume"].GetScene().AddNewNodeByClass("vtkMRMLModelNode"),
    "removal": lambda nodes: nodes["volume"].GetScene().RemoveNode(nodes["table"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(scene, nodes, change):
    nodes["volume"].CreateDefaultDisplayNodes()
    before = content(scene)
    CHANGES[change](nodes)
    assert content(scene) != before


def test_looking_changes_nothing(scene, nodes):
    url = scene.GetURL()
    before = content(scene)
    assert content(scene) == before
    assert (scene.GetURL(), scene.GetSaveToXMLString()) == (url, 0)
