"""4-D series for tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import slicer
from VoxelMorphLib.bridge.scene.volume_nodes import image_to_node
from VoxelMorphLib.core.image import Image

from support.volumes import a_blob_image, a_geometry

GRID = a_geometry("LPS", (14, 13, 12))


@pytest.fixture(scope="module")
def sequences(application):
    """The logic that shows the chosen frame of every sequence; it also makes sequence nodes known to the scene."""
    return application.add_module_logic("Sequences", "vtkSlicerSequencesLogic")


def a_series(scene: slicer.vtkMRMLScene, images: Sequence[Image] = ()) -> slicer.vtkMRMLSequenceNode:
    """Frames 1.5 s apart; without images three of them."""
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "heart")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    for index, image in enumerate(images or [a_blob_image(GRID, seed) for seed in (1, 2, 3)]):
        frame = image_to_node(image, slicer.vtkMRMLScalarVolumeNode())
        frame.SetName("beat")
        node.SetDataNodeAtValue(frame, f"{1.5 * index:g}")
    return node
