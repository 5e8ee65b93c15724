"""DisplacementField <-> vtkOrientedGridTransform; both map x on the fixed grid to x + u(x) in the moving space."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..core.geometry import Geometry
from ..core.transform import DisplacementField


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


def _grid_geometry(grid: vtk.vtkGridTransform, data: vtk.vtkImageData) -> Geometry:
    """Slicer turns the axes of the grid about its origin; plain VTK grids have no axes of their own."""
    matrix = grid.GetGridDirectionMatrix() if isinstance(grid, slicer.vtkOrientedGridTransform) else None
    direction = np.eye(3) if matrix is None else slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    whole = Geometry.from_parts(data.GetDimensions(), data.GetSpacing(), direction, data.GetOrigin())
    return whole.shifted(data.GetExtent()[::2], whole.shape)
