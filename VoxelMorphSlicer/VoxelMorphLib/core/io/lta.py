"""FreeSurfer .lta <-> AffineTransform.

An LTA maps the source to the target. With source = moving and target = fixed, as FreeSurfer applies it, that is the
inverse of our fixed -> moving. Format: FreeSurfer `transform.cpp` and `transform.h`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import GeometryError
from ..geometry import Geometry
from ..transform import AffineTransform
from .files import check_readable, naming

VOXEL_TO_VOXEL, RAS_TO_RAS = 0, 1
NUMBER = r"[-+0-9.eE]+"


def read_lta(path: Path | str) -> AffineTransform:
    """Read the linear transform of a file.

    Raises:
        GeometryError: missing or damaged file, several transforms, or a type other than voxel-voxel and RAS-RAS.
    """
    path = check_readable(path, GeometryError)
    text = _plain(path.read_bytes().decode("latin-1"))
    kind, count = _number(text, "type", path), _number(text, "nxforms", path)
    if count != 1:
        raise GeometryError(f"{path} holds {count:g} transforms. Choose a file with a single one.")
    matrix = _matrix(text, path)
    if kind == VOXEL_TO_VOXEL:
        with naming(path):
            source, target = _volume(text, "src", path), _volume(text, "dst", path)
        matrix = target.affine @ matrix @ source.world_to_voxel_affine
    elif kind != RAS_TO_RAS:
        raise GeometryError(
            f"{path} has the LTA type {kind:g}; only 0 (voxel to voxel) and 1 (RAS to RAS) are read. "
            "Convert it with `lta_convert --ltavox2vox` or without options."
        )
    with naming(path):
        return AffineTransform(matrix).inverse()


def write_lta(
    transform: AffineTransform, scratch: Path, fixed: Geometry | None = None, moving: Geometry | None = None
) -> None:
    """Write a RAS-to-RAS LTA, source = moving and target = fixed; missing grids are marked invalid."""
    rows = "\n".join(" ".join(f"{value:.15e}" for value in row) for row in transform.inverse().matrix)
    text = (
        f"type      = {RAS_TO_RAS} # LINEAR_RAS_TO_RAS\nnxforms   = 1\n"
        f"mean      = 0.0000 0.0000 0.0000\nsigma     = 1.0000\n1 4 4\n{rows}\n"
        f"src volume info\n{_volume_text(moving)}dst volume info\n{_volume_text(fixed)}"
    )
    scratch.write_text(text, encoding="ascii")


def _plain(text: str) -> str:
    """The lines without comments and needless blanks, so that searching them takes time in proportion to the length."""
    lines = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _number(text: str, key: str, path: Path) -> float:
    return float(_numbers(text, key, path, 1)[0])


def _numbers(text: str, key: str, path: Path, count: int) -> np.ndarray:
    found = re.search(rf"(?m)^{key} ?=((?: {NUMBER}){{{count}}})$", text)
    try:
        return np.array([float(number) for number in found[1].split()] if found else [], float).reshape(count)
    except ValueError:
        raise GeometryError(
            f"{path} is not an LTA file: {key!r} is missing or not a number. Export it again."
        ) from None


def _matrix(text: str, path: Path) -> np.ndarray:
    found = re.search(rf"(?m)^1 4 4((?:\s{NUMBER}){{16}})", text)
    try:
        return np.array([float(number) for number in found[1].split()] if found else [], float).reshape(4, 4)
    except ValueError:
        raise GeometryError(f"{path} is damaged: it has no 4x4 matrix of numbers. Export it again.") from None


def _volume(text: str, which: str, path: Path) -> Geometry:
    """Grid of "src" or "dst": direction columns, spacing, and the RAS of the voxel coordinate extent / 2."""
    block = text.partition(f"{which} volume info")[2].partition("volume info")[0]
    if not re.search(r"(?m)^valid ?= ?1$", block):
        raise GeometryError(
            f"{path} maps voxels but its {which} volume info is missing or not valid. "
            "Write it again as RAS to RAS, e.g. with `lta_convert`."
        )
    shape, spacing, centre = (_numbers(block, key, path, 3) for key in ("volume", "voxelsize", "cras"))
    direction = np.column_stack([_numbers(block, key, path, 3) for key in ("xras", "yras", "zras")])
    return Geometry.from_parts(shape, spacing, direction, centre - direction @ (spacing * shape / 2))


def _volume_text(geometry: Geometry | None) -> str:
    if geometry is None:
        return "valid = 0\n"
    centre = geometry.voxel_to_world(np.array(geometry.shape) / 2)
    rows: list[tuple[str, Iterable[float]]] = [("volume", geometry.shape), ("voxelsize", geometry.spacing)]
    rows += [*zip(("xras", "yras", "zras"), geometry.direction.T), ("cras", centre)]
    text = "".join(f"{key} = {' '.join(f'{value:.15g}' for value in values)}\n" for key, values in rows)
    return f"valid = 1\nfilename = unknown\n{text}"
