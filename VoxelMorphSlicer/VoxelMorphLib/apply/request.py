"""ApplyRequest: one thing, the transforms that move it, and how; whoever asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, ImageError
from ..core.geometry import Geometry
from ..core.image import Image
from ..core.image_resampling import MULTILABEL
from ..core.io.files import extension
from ..core.landmarks import Points
from ..core.series import Series, Volume
from ..core.transform import Transform
from .chain import Chain, Link
from .options import ApplyOptions
from .surfaces import SURFACE_EXTENSIONS, Surface, check_surface_file, read_surface, write_surface

#: Extensions of files of points, surfaces and streamlines; all others are volumes.
POINT_EXTENSIONS = (".json", ".fcsv", ".csv")
#: A transform with a mark that it is to be inverted: ("inverse", transform or path).
INVERSE = "inverse"


@dataclass(frozen=True, eq=False)
class ApplyRequest:
    """What to move, and how. Command, panel and library pass this object on.

    Args:
        moved: a volume, points, a surface or streamlines, in the space that the chain ends at.
        chain: from the reference to the input, as resampling needs it; points go the opposite way by themselves.
        reference: grid of a moved volume; None takes that of the chain's first field.
        options: how voxels are resampled.
    """

    moved: Any
    chain: Chain = field(default_factory=Chain)
    reference: Geometry | None = None
    options: ApplyOptions = field(default_factory=ApplyOptions)

    @property
    def grid(self) -> Geometry:
        """Grid of a moved volume.

        Raises:
            ConfigError: neither the request nor the transform names one.
        """
        return grid_of(self.chain, self.reference)


def grid_of(chain: Chain, reference: Geometry | None) -> Geometry:
    """The reference, else the grid of the chain's first field.

    Raises:
        ConfigError: there is neither.
    """
    grid = reference or chain.grid()
    if grid is None:
        raise ConfigError(
            "There is no grid to resample onto: these transforms have none of their own. Name a reference volume."
        )
    return grid


def read_moved(path: Path | str, options: ApplyOptions | None = None, as_labels: bool = False) -> Any:
    """Read anything that a transform can move, by the extension.

    Raises:
        ImageError: it cannot be read.
        DependencyError: a package for this format is missing.
    """
    kind = extension(path)
    if kind in POINT_EXTENSIONS:
        from ..core.io.points import read_points

        return read_points(path)
    if kind in SURFACE_EXTENSIONS:
        return read_surface(path)
    from ..core.io.streamlines import STREAMLINE_EXTENSIONS, read_streamlines

    if kind in STREAMLINE_EXTENSIONS:
        return read_streamlines(path)
    from ..core.io.volumes import read_volume

    return read_volume(path, as_labels or (options is not None and options.interpolation == MULTILABEL))


def write_moved(moved: Any, path: Path | str) -> Path:
    """Write what was moved.

    Raises:
        OutputError: the extension cannot hold it, or the folder cannot be written.
        DependencyError: a package for this format is missing.
    """
    check_moved_extension(moved, path)
    if isinstance(moved, Points):
        from ..core.io.moved_points import write_points

        return write_points(moved, path)
    if isinstance(moved, Surface):
        return write_surface(moved, path)
    if isinstance(moved, (Image, Series)):
        from ..core.io.volumes import write_volume

        return write_volume(moved, path)
    from ..core.io.streamlines import write_streamlines

    return write_streamlines(moved, path)


def check_moved_extension(moved: Any, path: Path | str) -> None:
    """Refuse a file that cannot hold what was read, before the work.

    Raises:
        OutputError: its extension is one of another kind.
        DependencyError: a package for this format is missing.
    """
    from ..core.errors import OutputError
    from ..core.io.images import check_image_extension, check_voxel_type

    kind = extension(path)
    if isinstance(moved, (Image, Series)):
        check_image_extension(path)
        check_voxel_type(path, moved.array.dtype)
        return
    if isinstance(moved, Points):
        from ..core.io.moved_points import check_points_extension

        check_points_extension(path)
        return
    from ..core.io.streamlines import STREAMLINE_EXTENSIONS

    allowed = SURFACE_EXTENSIONS if isinstance(moved, Surface) else STREAMLINE_EXTENSIONS
    if kind not in allowed:
        what = "surfaces" if isinstance(moved, Surface) else "streamlines"
        raise OutputError(f"{path}: {what} are written to {', '.join(allowed)}. Give the file one of them.")
    if kind in SURFACE_EXTENSIONS:
        check_surface_file(path)


def chain_of(transforms: Any, reference: Geometry | None = None, moved: Geometry | None = None) -> Chain:
    """A chain of whatever names its links.

    Args:
        transforms: one or several, from the reference to the input: a `Transform`, a path, or a pair ("inverse", one of
            both).
        reference, moved: as of `Chain.read`.

    Raises:
        GeometryError: a file cannot be read.
        ConfigError: something else.
    """
    if isinstance(transforms, Chain):
        return transforms
    single = isinstance(transforms, (Transform, str, Path)) or _is_inverse(transforms)
    row, links = [transforms] if single else list(transforms), list[Link]()
    for place, given in enumerate(row):
        inverted = _is_inverse(given)
        what = given[1] if inverted else given
        if isinstance(what, Transform):
            links.append(Link(what, inverted))
        elif isinstance(what, (str, Path)):
            ends = reference if place == 0 else None, moved if place == len(row) - 1 else None
            links += Chain.read([(what, inverted)], *ends).links
        else:
            raise ConfigError(f"{what!r} is no transform. Give a Transform, a path, or a pair ({INVERSE!r}, one).")
    return Chain(tuple(links))


def _is_inverse(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2 and given[0] == INVERSE


def check_movable(moved: Any) -> Volume | Any:
    """What can be moved.

    Raises:
        ImageError: something else.
    """
    if isinstance(moved, (Image, Series)) or hasattr(moved, "with_positions"):
        return moved
    raise ImageError(f"{type(moved).__name__} cannot be moved. Give a volume, points, a surface or streamlines.")
