"""Two aligned volumes in one: squares of the fixed and of the moved volume in turn, for the slice views alone."""

from __future__ import annotations

import numpy as np
import slicer

from ...core.image import Image
from ...report.views import Window
from .volume_nodes import has_voxels, image_to_node, volume_geometry

#: Squares along the longest side of the fixed volume.
SQUARES = 8
#: Attribute of the one node of a scene that shows it.
ATTRIBUTE = "VoxelMorphCheckerboard"


def show_checkerboard(
    fixed: slicer.vtkMRMLScalarVolumeNode, moved: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Mix two volumes, each on its own scale, into a node that is neither listed nor saved.

    Args:
        fixed: volume.
        moved: another one on its grid.

    Returns:
        The node, always the same one of a scene; None where the volumes do not lie on one grid.
    """
    if not (has_voxels(fixed) and has_voxels(moved)):
        return None
    geometry = volume_geometry(fixed)
    if not volume_geometry(moved).matches(geometry):
        return None
    images = [Image(slicer.util.arrayFromVolume(node).T, geometry) for node in (fixed, moved)]
    scene = fixed.GetScene()
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene)
    node = next((volume for volume in volumes if volume.GetAttribute(ATTRIBUTE)), None)
    made = image_to_node(Image(mixed(*images), geometry, "Checkerboard"), node, scene=scene)
    if node is None:
        made.SetAttribute(ATTRIBUTE, "1")
        made.SetHideFromEditors(True)
        made.SetSaveWithScene(False)
        made.CreateDefaultDisplayNodes()
        made.GetDisplayNode().SetSaveWithScene(False)
    with slicer.util.NodeModify(made.GetDisplayNode()):
        made.GetDisplayNode().SetAutoWindowLevel(False)
        made.GetDisplayNode().SetWindowLevelMinMax(0, 1)
    return made


def mixed(fixed: Image, moved: Image) -> np.ndarray:
    """(I, J, K), float32, 0 to 1: cubes of equal sides in mm of two images on one grid in turn."""
    lengths = [(n, mm) for n, mm in zip(fixed.geometry.shape, fixed.geometry.spacing)]
    side = max(n * mm for n, mm in lengths) / SQUARES
    number = [np.arange(n) * mm // side for n, mm in lengths]
    odd = np.add.outer(np.add.outer(number[0], number[1]), number[2]) % 2 > 0
    return np.where(odd, Window.of(moved)(moved.array), Window.of(fixed)(fixed.array)).astype(np.float32)
