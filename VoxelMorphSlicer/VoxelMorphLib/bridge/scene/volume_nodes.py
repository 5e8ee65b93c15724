"""Volume nodes to images and back, with their grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ...core.errors import GeometryError, ImageError, OutputError
from ...core.geometry import Geometry
from ...core.image import Image, LabelMap, check_registrable, without_nan_background

SCALAR_CLASS = "vtkMRMLScalarVolumeNode"
LABEL_CLASS = "vtkMRMLLabelMapVolumeNode"


def image_from_node(
    node: slicer.vtkMRMLScalarVolumeNode, role: str | None = None, to_world: np.ndarray | None = None
) -> Image:
    """Read a volume where the scene shows it: its linear parent transforms are multiplied into the geometry.

    Args:
        node: a scalar volume, a label map, or an RGB volume, whose colours are averaged to one luminance.
        role: "fixed" or "moving" refuses volumes that cannot be registered; None reads any volume.
        to_world: (4, 4), takes the place of the node's parent transforms.

    Returns:
        An `Image`, a `LabelMap` for a label map node; the array is a copy. NaN around the object is replaced, with a
        note.

    Raises:
        ImageError: not a volume, no voxels, vectors or tensors, or unfit for its role.
        GeometryError: a parent transform is not linear, or the grid is sheared.
    """
    is_labels = isinstance(node, slicer.vtkMRMLLabelMapVolumeNode)
    image = label_map_from_node(node, to_world) if is_labels else _intensities(node, to_world)
    if role is not None:
        check_registrable(image, role)
    return image


def label_map_from_node(node: slicer.vtkMRMLScalarVolumeNode, to_world: np.ndarray | None = None) -> LabelMap:
    """Read a label map, also from a scalar volume of whole numbers; see `image_from_node`."""
    return LabelMap(*_content(node, to_world))


def _intensities(node: slicer.vtkMRMLScalarVolumeNode, to_world: np.ndarray | None) -> Image:
    array, geometry, name = _content(node, to_world)
    array, notes = without_nan_background(array, name)
    return Image(array, geometry, name, notes)


def _content(node: slicer.vtkMRMLScalarVolumeNode, to_world: np.ndarray | None) -> tuple[np.ndarray, Geometry, str]:
    """Voxels, grid and name."""
    if not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        found = "none" if node is None else f"{node.GetName()}, a {node.GetClassName()}"
        raise ImageError(f"A scalar volume is needed, got {found}. Choose or load a volume.")
    geometry = volume_geometry(node, to_world)
    return _voxels(node, geometry.shape), geometry, node.GetName()


def is_colour(node: slicer.vtkMRMLScalarVolumeNode, scalars: np.ndarray) -> bool:
    """Whether a volume is declared as colour or, as most image files load, has 8-bit triples of undeclared meaning."""
    if not isinstance(node, slicer.vtkMRMLVectorVolumeNode):
        return False
    declared = node.GetVoxelVectorType()
    if declared in (node.VoxelVectorTypeColorRGB, node.VoxelVectorTypeColorRGBA):
        return scalars.shape[1] in (3, 4)
    return declared == node.VoxelVectorTypeUndefined and scalars.dtype == np.uint8 and scalars.shape[1] in (3, 4)


def image_to_vtk(image: Image) -> vtk.vtkImageData:
    """The voxels as VTK image data with origin 0 and spacing 1, as volume nodes require; a deep copy.

    Raises:
        ImageError: label numbers that do not fit into 32 bits.
    """
    data = vtk.vtkImageData()
    data.SetDimensions(image.array.shape)
    voxels = _storable(image)
    data.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(order="F"), deep=True))
    return data


def i_fastest(image: Image) -> Image:
    """The same image in VTK's memory order; meant for a thread, as it would block the application."""
    return replace(image, array=np.asfortranarray(image.array))


def image_to_node(
    image: Image,
    node: slicer.vtkMRMLScalarVolumeNode | None = None,
    name: str | None = None,
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Put an image into the scene, at its world position and under no parent transform.

    Args:
        image: a `LabelMap` makes a label map node.
        node: is filled; None creates a node.
        name: of a created node, made unique; default the image's.
        scene: of a created node; default the application's.

    Raises:
        OutputError: `node` is of a class for other kinds of voxels.
        ImageError: label numbers that do not fit into 32 bits.
    """
    classes = [LABEL_CLASS, SCALAR_CLASS] if isinstance(image, LabelMap) else [SCALAR_CLASS]
    if node is not None and node.GetClassName() not in classes:
        raise OutputError(
            f"{node.GetName()} is a {node.GetClassName()} and cannot hold {image.name}. Choose a {classes[0]}."
        )
    voxels = image_to_vtk(image)
    if node is None:
        scene = scene or slicer.mrmlScene
        node = scene.AddNewNodeByClass(classes[0], scene.GenerateUniqueName(name or image.name))
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.geometry.affine))
        node.SetAndObserveImageData(voxels)
    return node


def show_like(node: slicer.vtkMRMLScalarVolumeNode, model: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a node without display the colours, and for intensities the window and level, of another volume.

    Frames of a sequence are in no scene and have no display.
    """
    if node.GetDisplayNode() is not None or node.GetScene() is None:
        return
    example = model.GetDisplayNode()
    if type(node) is type(model) and example is not None:
        # Slicer's default display would search all voxels for a window and level that are replaced here anyway.
        display = node.GetScene().AddNewNodeByClass(example.GetClassName())
        if isinstance(display, slicer.vtkMRMLScalarVolumeDisplayNode):
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(example.GetWindow(), example.GetLevel())
        node.SetAndObserveDisplayNodeID(display.GetID())
    else:
        node.CreateDefaultDisplayNodes()
    if example is not None and example.GetClassName() == node.GetDisplayNode().GetClassName():
        node.GetDisplayNode().SetAndObserveColorNodeID(example.GetColorNodeID())


def has_voxels(node: slicer.vtkMRMLVolumeNode) -> bool:
    """True when the volume node holds an image with at least one scalar voxel."""
    image = node.GetImageData()
    return image is not None and image.GetNumberOfPoints() > 0 and image.GetPointData().GetScalars() is not None


def own_affine(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4), array index (i, j, k) -> RAS mm of the node itself, without its parent transforms.

    Array index 0 is where the extent of the image data begins, which need not be voxel 0 of the node.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ np.array(node.GetImageData().GetExtent()[::2], float)
    return affine


def parent_matrix(node: slicer.vtkMRMLTransformableNode, stop: slicer.vtkMRMLTransformNode | None = None) -> np.ndarray:
    """(4, 4), RAS mm of the node itself -> RAS mm of the world, through all its parent transforms.

    Args:
        node: any node that can be under a transform.
        stop: one of the parents; the result then ends in the space of nodes directly under it.

    Raises:
        GeometryError: one of the parents is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToNodeLinear(stop):
        raise GeometryError(
            f"{node.GetName()} is under the non-linear transform {parent.GetName()}. "
            "Harden the transform (Data module, right click on the node) or remove it, then try again; a moving volume "
            "may have it as the initial transform instead."
        )
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, stop, matrix)
    return np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)


def volume_geometry(node: slicer.vtkMRMLVolumeNode, to_world: np.ndarray | None = None) -> Geometry:
    """The voxel grid of a volume node where the scene shows it: in world coordinates.

    Args:
        node: holds voxels.
        to_world: (4, 4), takes the place of the node's parent transforms.

    Raises:
        ImageError: the node holds no voxels.
        GeometryError: a parent transform is not linear, or the grid is sheared or singular.
    """
    if not has_voxels(node):
        raise ImageError(f"The volume {node.GetName()} holds no voxels. Load or create its image first.")
    affine = (parent_matrix(node) if to_world is None else to_world) @ own_affine(node)
    try:
        return Geometry(node.GetImageData().GetDimensions(), affine)
    except GeometryError as error:
        raise GeometryError(f"The volume {node.GetName()} cannot be used: {error}") from error


def _voxels(node: slicer.vtkMRMLScalarVolumeNode, shape: tuple[int, ...]) -> np.ndarray:
    """(I, J, K), a copy of the voxels in their order in memory, I fastest, for speed; colours are averaged."""
    scalars = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    if scalars.ndim == 1:
        return scalars.reshape(shape[::-1]).copy().T
    if not is_colour(node, scalars):
        raise ImageError(
            f"The volume {node.GetName()} has {scalars.shape[1]} components per voxel. "
            "Choose a scalar volume, or extract one component first."
        )
    luminance = scalars[:, :3].mean(axis=1, dtype=np.float32)
    return luminance.reshape(shape[::-1]).T


def _storable(image: Image) -> np.ndarray:
    """The array in a type that VTK has and Slicer displays: no booleans, 16-bit floats or 64-bit integers."""
    array = image.array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
    if array.dtype.itemsize < 8:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    limits = np.iinfo(np.int32)
    if limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int32)
    if isinstance(image, LabelMap):
        raise ImageError(
            f"{image.name} has label numbers from {array.min()} to {array.max()}, but Slicer stores 32 bits. "
            "Renumber its labels."
        )
    return array.astype(np.float64)
