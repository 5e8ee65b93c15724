"""Transform nodes -> files of every format that can hold them, which Slicer's own saving does not know all."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import GeometryError
from ...core.io.transforms import check_transform_extension, kind_of, write_transform
from ..background.steps import Steps
from .apply import Application


def save_steps(application: Application, path: Path) -> Steps:
    """Write a transform in its direction, world to world; gives the path.

    Args:
        application: transform, direction, and the volume whose grid the displacements of a field have.
        path: of the file.

    Raises:
        OutputError: the format cannot hold the transform, or the folder cannot be written.
        GeometryError: a field needs a grid, and no volume is known.
    """
    application.check_transform()
    return _saved(application, path)


def _saved(application: Application, path: Path) -> Steps:
    path_of_node, is_linear = application.path, application.transform_node.IsTransformToWorldLinear()
    try:
        grid = application.grid()
    except GeometryError:
        if not is_linear:
            raise
        grid = None
    if is_linear and path_of_node.stored_node() is None:  # exact, where VTK would search point by point
        transform = path_of_node.reversed().captured(grid).inverse()
    else:
        transform = path_of_node.captured(grid)
    check_transform_extension(path, kind_of(transform))
    return (yield lambda: write_transform(transform, path, grid))
