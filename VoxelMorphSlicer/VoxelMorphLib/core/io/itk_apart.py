"""ITK's reader of HDF5 transforms in a process of its own: a damaged file may end that process, but not this one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import GeometryError
from ..geometry import Geometry
from ..python_process import python_command
from ..transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from .reading_process import run_reader

#: Module that the child runs.
CHILD = "VoxelMorphLib.core.io.itk_child"


def read_apart(path: Path, fixed: Geometry | None = None, command: Sequence[str] = ()) -> Transform:
    """What `itk_transforms` reads from a file, in a child process.

    Args:
        path: of an existing file.
        fixed: grid on which splines are sampled.
        command: that starts the child, without the path; empty for this module's own.

    Raises:
        GeometryError: as `read_itk_transform`, or the child crashed or did not end.
    """
    command = [*(command or (*python_command(), "-m", CHILD)), str(path.absolute())]
    if fixed is not None:
        command.append(json.dumps(_grid(fixed)))
    with tempfile.TemporaryFile() as answer:
        if run_reader(command, path, GeometryError, ".tfm", ", or export it again", answer):
            raise _damaged(path)
        answer.seek(0)
        return _understood(answer, path)


def write_answer(transform: Transform, stream: IO[bytes]) -> None:
    """One line that describes the parts of a transform, then the arrays of its fields."""
    parts = transform.transforms if isinstance(transform, CompositeTransform) else (transform,)
    stream.write(json.dumps([_described(part) for part in parts]).encode("ascii") + b"\n")
    for part in parts:
        if isinstance(part, DisplacementField):
            np.save(stream, part.array, allow_pickle=False)


def _understood(answer: IO[bytes], path: Path) -> Transform:
    """The transform, or the child's sentence raised."""
    try:
        parts = json.loads(answer.readline())
        error = parts[0].get("error")
        transform = None if error else _joined([_part(values, answer) for values in parts])
    except (ValueError, LookupError, TypeError, AttributeError, EOFError) as cause:
        raise _damaged(path) from cause
    if transform is None:
        raise GeometryError(error.replace(str(path.absolute()), str(path)))
    return transform


def _damaged(path: Path) -> GeometryError:
    return GeometryError(f"{path} is damaged: reading it ends in a crash. Export the transform again.")


def _described(part: Transform) -> dict[str, Any]:
    if isinstance(part, DisplacementField):
        return _grid(part.geometry)
    assert isinstance(part, AffineTransform)
    return {"matrix": part.matrix.tolist()}


def _grid(geometry: Geometry) -> dict[str, Any]:
    return {"shape": [int(n) for n in geometry.shape], "affine": geometry.affine.tolist()}


def grid_of(values: dict[str, Any]) -> Geometry:
    """The grid that one process described to the other."""
    return Geometry(tuple(values["shape"]), np.array(values["affine"]))


def _part(values: dict[str, Any], stream: IO[bytes]) -> Transform:
    if "matrix" in values:
        return AffineTransform(np.array(values["matrix"]))
    geometry = grid_of(values)
    return DisplacementField(np.load(stream, allow_pickle=False), geometry)


def _joined(parts: Sequence[Transform]) -> Transform:
    return parts[0] if len(parts) == 1 else CompositeTransform(tuple(parts))
