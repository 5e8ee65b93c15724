"""Transform nodes to transforms of RAS mm and back; displacement grids are VTK images."""

from __future__ import annotations

from functools import reduce

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ...core.errors import GeometryError, OutputError
from ...core.geometry import Geometry
from ...core.transform import AffineTransform, DisplacementField, Transform

#: Most points at which a transform without matrix or displacement grid is sampled, which takes about a second.
SAMPLED_VOXELS = 1_000_000


class VtkTransform(Transform):
    """A VTK transform as a map of RAS points; grids are interpolated as the scene does it, by cubic polynomials.

    Args:
        transform: of RAS mm; its inverse, where VTK has to search it, is found to 0.01 mm.
    """

    def __init__(self, transform: vtk.vtkAbstractTransform):
        self.vtk_transform = transform

    def apply_to_points(self, points: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(points, np.float64).reshape(-1, 3)
        before, after = vtk.vtkPoints(), vtk.vtkPoints()
        before.SetData(numpy_to_vtk(flat, deep=True))
        after.SetDataTypeToDouble()
        self.vtk_transform.TransformPoints(before, after)
        return vtk_to_numpy(after.GetData()).reshape(np.shape(points)).copy()

    def inverse(self) -> VtkTransform:
        return VtkTransform(self.vtk_transform.GetInverse())


def general_transform(*parts: vtk.vtkAbstractTransform | np.ndarray) -> vtk.vtkGeneralTransform:
    """Transforms and (4, 4) matrices as one, applied first to last."""
    general = vtk.vtkGeneralTransform()
    general.PostMultiply()
    for part in parts:
        general.Concatenate(slicer.util.vtkMatrixFromArray(part) if isinstance(part, np.ndarray) else part)
    return general


def transform_to_vtk(transform: Transform) -> vtk.vtkAbstractTransform:
    """The same map of RAS points as a VTK transform: a matrix, a grid, or both applied first to last."""
    if isinstance(transform, AffineTransform):
        linear = vtk.vtkTransform()
        linear.SetMatrix(slicer.util.vtkMatrixFromArray(transform.matrix))
        return linear
    if isinstance(transform, DisplacementField):
        return grid_from_field(transform)
    composite = vtk.vtkGeneralTransform()
    composite.PostMultiply()
    for part in transform.transforms:
        composite.Concatenate(transform_to_vtk(part))
    return composite


def transform_to_node(
    transform: Transform,
    node: slicer.vtkMRMLTransformNode | None = None,
    name: str = "transform",
    scene: slicer.vtkMRMLScene | None = None,
) -> slicer.vtkMRMLTransformNode:
    """Put a transform into the scene so that a moving node placed under it lands on the fixed one.

    Args:
        transform: fixed -> moving in RAS mm; it becomes the "from parent" direction and is never stored inverted.
        node: is filled and put under no parent transform; None creates one of the class that fits.
        name: of a created node, made unique.
        scene: of a created node; default the application's.

    Raises:
        OutputError: `node` is a linear transform node and the transform is not linear.
    """
    is_linear = isinstance(transform, AffineTransform)
    if isinstance(node, slicer.vtkMRMLLinearTransformNode) and not is_linear:
        raise OutputError(
            f"{node.GetName()} is a linear transform node and cannot hold a displacement field. "
            "Choose a grid transform node or a new node."
        )
    vtk_transform = transform_to_vtk(transform)
    if node is None:
        scene = scene or slicer.mrmlScene
        node = scene.AddNewNodeByClass(_node_class(transform), scene.GenerateUniqueName(name))
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveTransformFromParent(vtk_transform)
    return node


def transform_from_node(node: slicer.vtkMRMLTransformNode, geometry: Geometry | None = None) -> Transform:
    """The map from the world into the space of nodes placed under `node`, through all its parents.

    Matrices and displacement grids stored from parent are taken over exactly. Anything else (B-splines, thin plates,
    grids stored to parent, whose inverse Slicer finds numerically to 0.01 mm) is sampled at no more than
    `SAMPLED_VOXELS` points, because the application is blocked meanwhile.

    Args:
        node: any transform node.
        geometry: where to sample what has to be sampled, normally the fixed grid; None refuses such transforms.

    Raises:
        GeometryError: a sheared grid, a matrix without inverse, or sampling needed without a `geometry`.
    """
    from_world = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(from_world)
    parts = _flattened(from_world)
    inexact = [part.GetClassName() for part in parts if not _is_exact(part)]
    if inexact and geometry is None:
        raise GeometryError(
            f"The transform {node.GetName()} holds a {inexact[0]} that is not a matrix or a from-parent displacement "
            "grid. Convert it to a displacement field in the Transforms module, or give a reference volume."
        )
    if inexact:
        return _sampled(from_world, geometry)
    try:
        exact = [_exact(part) for part in parts]
    except GeometryError as error:
        raise GeometryError(f"The transform {node.GetName()} cannot be used: {error}") from error
    return reduce(Transform.compose, exact) if exact else AffineTransform(np.eye(4))


def grid_from_field(field: DisplacementField) -> slicer.vtkOrientedGridTransform:
    """Copy a field into the transform that Slicer applies, displays and saves.

    The interpolation is cubic from the start because that is what a reloaded file gets; it equals the field at its
    voxels, and between them differs by what cubic and linear interpolation differ. Outside the grid both continue the
    nearest edge value.
    """
    geometry = field.geometry
    data = vtk.vtkImageData()
    data.SetDimensions(geometry.shape)
    data.SetOrigin(geometry.origin)
    data.SetSpacing(geometry.spacing)
    i_fastest = field.array.transpose(2, 1, 0, 3).reshape(-1, 3)
    data.GetPointData().SetScalars(numpy_to_vtk(i_fastest, deep=True))
    direction = np.eye(4)
    direction[:3, :3] = geometry.direction
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(data)
    grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(direction))
    grid.SetInterpolationModeToCubic()
    return grid


def field_from_grid(grid: vtk.vtkGridTransform) -> DisplacementField:
    """Copy the displacements of a grid that is stored from parent.

    Raises:
        GeometryError: the axes of the grid are sheared.
    """
    data = grid.GetDisplacementGrid()
    shape = data.GetDimensions()
    stored = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(*shape[::-1], 3).transpose(2, 1, 0, 3)
    array = np.array(stored, dtype=stored.dtype if stored.dtype.kind == "f" else np.float32, order="K")
    array *= grid.GetDisplacementScale()
    array += grid.GetDisplacementShift()
    return DisplacementField(array, _grid_geometry(grid, data))


def _node_class(transform: Transform) -> str:
    if isinstance(transform, AffineTransform):
        return "vtkMRMLLinearTransformNode"
    return "vtkMRMLGridTransformNode" if isinstance(transform, DisplacementField) else "vtkMRMLTransformNode"


def _flattened(general: vtk.vtkGeneralTransform) -> list[vtk.vtkAbstractTransform]:
    """The simple transforms inside a nested one, first to last."""
    collection = vtk.vtkCollection()
    slicer.vtkMRMLTransformNode.FlattenGeneralTransform(collection, general)
    return [collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())]


def _is_exact(part: vtk.vtkAbstractTransform) -> bool:
    is_matrix = isinstance(part, vtk.vtkHomogeneousTransform)
    return is_matrix or (isinstance(part, vtk.vtkGridTransform) and not part.GetInverseFlag())


def _exact(part: vtk.vtkAbstractTransform) -> Transform:
    if isinstance(part, vtk.vtkHomogeneousTransform):
        return AffineTransform(slicer.util.arrayFromVTKMatrix(part.GetMatrix()))
    return field_from_grid(part)


def _sampled(transform: vtk.vtkAbstractTransform, geometry: Geometry) -> DisplacementField:
    geometry = _coarsened(geometry)
    points = geometry.points().reshape(-1, 3)
    displacement = VtkTransform(transform).apply_to_points(points) - points
    return DisplacementField(displacement.reshape(*geometry.shape, 3).astype(np.float32), geometry)


def _coarsened(geometry: Geometry) -> Geometry:
    """The grid, or a coarser one that reaches beyond its outermost voxels."""
    coarseness = (np.prod(geometry.shape) / SAMPLED_VOXELS) ** (1 / 3)
    if coarseness <= 1:
        return geometry
    coarse = geometry.with_spacing(coarseness * geometry.spacing)
    return coarse.shifted((-1, -1, -1), [n + 2 for n in coarse.shape])


def _grid_geometry(grid: vtk.vtkGridTransform, data: vtk.vtkImageData) -> Geometry:
    """Slicer turns the axes of the grid about its origin; plain VTK grids have no axes of their own."""
    matrix = grid.GetGridDirectionMatrix() if isinstance(grid, slicer.vtkOrientedGridTransform) else None
    direction = np.eye(3) if matrix is None else slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    whole = Geometry.from_parts(data.GetDimensions(), data.GetSpacing(), direction, data.GetOrigin())
    return whole.shifted(data.GetExtent()[::2], whole.shape)
