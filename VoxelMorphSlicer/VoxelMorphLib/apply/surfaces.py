"""Surfaces, and curves in .vtk files, through VTK; RAS mm.

Slicer writes "SPACE=LPS" or "SPACE=RAS" into comments of such files, and takes those that say nothing as LPS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DependencyError, ImageError, OutputError
from ..core.io.files import check_readable, extension, replacing
from ..core.io.paths import is_file

SURFACE_EXTENSIONS = (".vtk", ".vtp", ".stl", ".ply", ".obj")
_READERS = {
    ".vtk": "vtkGenericDataObjectReader",
    ".vtp": "vtkXMLPolyDataReader",
    ".stl": "vtkSTLReader",
    ".ply": "vtkPLYReader",
    ".obj": "vtkOBJReader",
}
_WRITERS = {
    ".vtk": "vtkPolyDataWriter",
    ".vtp": "vtkXMLPolyDataWriter",
    ".stl": "vtkSTLWriter",
    ".ply": "vtkPLYWriter",
    ".obj": "vtkOBJWriter",
}
_LPS = np.array([-1.0, -1.0, 1.0])
_KEY = "SPACE"


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh whose points can be moved.

    Args:
        positions: (P, 3), RAS mm.
        mesh: VTK's object with cells and data.
        name: of the file, for messages.
        is_ras: the file's numbers are RAS instead of LPS.
    """

    positions: np.ndarray
    mesh: Any
    name: str
    is_ras: bool = False

    def with_positions(self, positions: np.ndarray) -> Surface:
        """The same mesh at other places, (P, 3) RAS mm."""
        return replace(self, positions=positions)


def read_surface(path: Path | str) -> Surface:
    """Read a file.

    Args:
        path: with one of the `SURFACE_EXTENSIONS`; .vtk files may hold curves or volume meshes too.

    Raises:
        ImageError: missing or damaged file, or without points.
        DependencyError: vtk is not installed.
    """
    path = check_readable(path, ImageError)
    vtk, kind = _vtk(path), extension(path)
    reader = getattr(vtk, _READERS[kind])()
    reader.SetFileName(str(path))
    with _quiet(vtk):
        reader.Update()
        mesh = reader.GetOutputDataObject(0)
    if not isinstance(mesh, vtk.vtkPointSet) or not mesh.GetNumberOfPoints():
        raise ImageError(f"{path} holds no surface or curves that VTK can read. Export it again.")
    points = _array(mesh.GetPoints().GetData())
    if not np.isfinite(points).all():
        raise ImageError(f"{path} has a coordinate that is no finite number. Export the surface again.")
    is_ras = f"{_KEY}=RAS" in _comment(reader, mesh, kind)
    return Surface(points if is_ras else points * _LPS, mesh, path.name, is_ras)


def check_surface_file(path: Path | str) -> None:
    """Refuse a file that cannot be read or written here, before the work.

    Raises:
        DependencyError: vtk is not installed.
    """
    _vtk(Path(path))


def write_surface(surface: Surface, path: Path | str) -> Path:
    """Write a mesh in the format of the extension, in the coordinates of the file that it came from.

    Normals are computed anew where there were some.

    Raises:
        OutputError: the format cannot hold the mesh, or the folder cannot be written.
        DependencyError: vtk is not installed.
    """
    path = Path(path)
    vtk, kind = _vtk(path), extension(path)
    is_ras = surface.is_ras and kind != ".obj"  # whose comments VTK does not write
    mesh = _moved(surface, is_ras, vtk)
    name = _WRITERS[kind]
    if not isinstance(mesh, vtk.vtkPolyData):
        if kind != ".vtk":
            raise OutputError(f"{path}: {kind} holds surfaces only, and {surface.name} is none. Write a .vtk file.")
        name = "vtkDataSetWriter"
    writer = getattr(vtk, name)()
    writer.SetInputData(mesh)
    _say_space(writer, mesh, kind, "RAS" if is_ras else "LPS", vtk)
    with replacing(path, 40 * mesh.GetNumberOfPoints()) as scratch, _quiet(vtk):
        writer.SetFileName(str(scratch))
        if not writer.Write() or not is_file(scratch):
            raise OutputError(f"{path} could not be written. Check the free space and the folder.")
    return path


def _moved(surface: Surface, is_ras: bool, vtk: Any) -> Any:
    """A copy of the mesh with the surface's positions in the coordinates of the file."""
    from vtk.util.numpy_support import numpy_to_vtk

    mesh = surface.mesh.NewInstance()
    mesh.DeepCopy(surface.mesh)
    numbers = surface.positions if is_ras else surface.positions * _LPS
    is_double = surface.mesh.GetPoints().GetDataType() == vtk.VTK_DOUBLE
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(numbers, np.float64 if is_double else np.float32), deep=True))
    mesh.SetPoints(points)
    if mesh.GetPointData().GetNormals() is None or not isinstance(mesh, vtk.vtkPolyData):
        return mesh
    mesh.GetPointData().SetNormals(None)  # VTK keeps the ones that it finds
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()


def _comment(reader: Any, mesh: Any, kind: str) -> str:
    """What may say in which coordinates the numbers are."""
    if kind == ".vtp":
        said = mesh.GetFieldData().GetAbstractArray(_KEY)
        return f"{_KEY}={said.GetValue(0)}" if said is not None and said.GetNumberOfValues() else ""
    if kind == ".ply":
        comments = reader.GetComments()
        return " ".join(comments.GetValue(n) for n in range(comments.GetNumberOfValues()))
    return (reader.GetComment() if kind == ".obj" else reader.GetHeader()) or ""


def _say_space(writer: Any, mesh: Any, kind: str, space: str, vtk: Any) -> None:
    text = f"3D Slicer output. {_KEY}={space}"
    if kind in (".vtk", ".stl"):
        writer.SetHeader(text)
        writer.SetFileTypeToBinary()
    elif kind == ".ply":
        writer.AddComment(text)
        for name in ("RGB", "RGBA"):
            if mesh.GetPointData().GetArray(name) is not None:
                writer.SetArrayName(name)
    elif kind == ".vtp":
        said = vtk.vtkStringArray()
        said.SetName(_KEY)
        said.InsertNextValue(space)
        mesh.GetFieldData().AddArray(said)


def _array(data: Any) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(data).astype(np.float64).reshape(-1, 3)


@contextmanager
def _quiet(vtk: Any) -> Iterator[None]:
    """Keep VTK's complaints off the terminal; what it could not read is seen in the result."""
    before = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(before)


def _vtk(path: Path) -> Any:
    try:
        import vtk
    except ImportError as cause:
        raise DependencyError(
            f"{path.name} needs the Python package vtk, which Slicer has. Install it with `pip install vtk`."
        ) from cause
    return vtk
