"""apply(): a request to the moved volume, points, surface or streamlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.geometry import Geometry
from ..core.header_motion import moved_header
from ..core.image import Image
from ..core.io.positions import warn_of_mixed_positions
from ..core.progress import Progress, silent
from ..core.series import Series
from .chain import tell_misses
from .options import ApplyOptions
from .request import ApplyRequest, chain_of, check_movable, read_moved, write_moved
from .volumes import carry_volume


def apply(request: ApplyRequest, progress: Progress = silent) -> Any:
    """Move what a request names, by one interpolation through all of its transforms.

    Args:
        request: what, by which transforms, onto which grid.
        progress: told the frames of a series; may raise `Cancelled`.

    Returns:
        The same kind of object: a volume on the grid of the reference, or points in its space.

    Raises:
        ConfigError: a volume without a grid to come to, or "multilabel" of an image.
        GeometryError: the transforms meet neither the reference nor the input, or bend what only its header may move.

    Warns:
        UserWarning: places outside a field or without an exact inverse, vectors that are not turned.
    """
    moved, chain = check_movable(request.moved), request.chain
    if isinstance(moved, (Image, Series)) and request.options.header_only:
        return moved_header(moved, chain.pull())
    if isinstance(moved, (Image, Series)):
        grid, pull = request.grid, chain.pull()
        if chain.links:
            chain.check_meets(grid, moved.geometry)
        result = carry_volume(moved, pull, grid, request.options, progress)
        tell_misses(pull, chain.name)
        return result
    push = chain.push()
    positions = push.apply_to_points(moved.positions)
    chain.check_points(moved.positions, moved.name)
    tell_misses(push, chain.name)
    if request.reference is not None and hasattr(moved, "tractogram"):
        return moved.with_positions(positions, request.reference)
    return moved.with_positions(positions)


def apply_transform(
    moved: Any,
    transforms: Any,
    reference: Geometry | Image | str | Path | None = None,
    output: str | Path | None = None,
    options: ApplyOptions | None = None,
    progress: Progress = silent,
) -> Any:
    """Move a volume, points, a surface or streamlines, from memory or a file.

    Args:
        moved: an object that `apply` takes, or a path.
        transforms: one or several, from the reference to the input, as resampling needs them: a `Transform`, a path, or
            a pair ("inverse", one of both). Points go the opposite way by themselves.
        reference: grid of a moved volume; None takes that of the first field.
        output: file that receives the result.
        options: how voxels are resampled.
        progress: as of `apply`.

    Returns:
        The moved object.

    Raises:
        VoxelMorphError: as `apply`, or a file cannot be read or written.
    """
    options = options or ApplyOptions()
    grid = _grid(reference)
    if isinstance(moved, (str, Path)):
        if isinstance(reference, (str, Path)):
            warn_of_mixed_positions((moved, reference))
        moved = read_moved(moved, options)
    chain = chain_of(transforms, grid, getattr(moved, "geometry", None))
    result = apply(ApplyRequest(moved, chain, grid, options), progress)
    if output is not None:
        write_moved(result, output)
    return result


def _grid(reference: Geometry | Image | str | Path | None) -> Geometry | None:
    if isinstance(reference, (str, Path)):
        from ..core.io.images import read_image_geometry

        return read_image_geometry(reference)
    return reference.geometry if isinstance(reference, (Image, Series)) else reference
