"""Transforms in a row, each forwards or inverted, as one map in either direction; whether they meet what they move."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.image_resampling import slabs
from ..core.io.transforms import read_transform
from ..core.pointwise_inverse import PointwiseInverse, inverse_at_points
from ..core.transform import IDENTITY, CompositeTransform, DisplacementField, Transform, simplest

#: Points of a grid, along each axis, that tell whether it meets another one.
SAMPLES = 24
#: Share of a grid beyond a field that is not worth a word: half a voxel at its border.
NOT_WORTH_A_WORD = 0.01
#: Points that missed by less are exact enough for anything, mm.
EXACT_MM = 0.01
#: What the inverse may miss by at voxels.
VOXELS_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Link:
    """One transform of a chain.

    Args:
        transform: of a file, fixed -> moving.
        is_inverted: take its inverse, which is solved where it is asked.
        name: shown in messages.
    """

    transform: Transform
    is_inverted: bool = False
    name: str = "transform"

    @property
    def pull(self) -> Transform:
        """From the side of the reference to the side of the input: for voxels."""
        return inverse_at_points(self.transform, VOXELS_MM) if self.is_inverted else self.transform

    @property
    def push(self) -> Transform:
        """From the side of the input to the side of the reference: for points."""
        return self.transform if self.is_inverted else inverse_at_points(self.transform)

    @property
    def grid(self) -> Geometry | None:
        """That of the field which the reference meets first, if there is one."""
        first = _parts(self.transform)[-1 if self.is_inverted else 0]
        return first.geometry if isinstance(first, DisplacementField) else None


@dataclass(frozen=True, eq=False)
class Chain:
    """Links from the reference to the input, in this order.

    Args:
        links: any number; without any nothing moves, and voxels are brought to another grid alone.
    """

    links: tuple[Link, ...] = ()

    @classmethod
    def read(
        cls,
        files: Sequence[tuple[Path | str, bool]],
        reference: Geometry | None = None,
        moved: Geometry | None = None,
    ) -> Chain:
        """Read transforms.

        Args:
            files: path and whether it is inverted, from the reference to the input.
            reference: grid at one end, on which the first one is sampled if its file needs one, as B-splines and voxel
                warps do.
            moved: grid at the other end, which transforms of FSL need too.

        Raises:
            GeometryError: a file cannot be read, or needs a grid and has none.
        """
        links = []
        for place, (path, is_inverted) in enumerate(files):
            ends = reference if place == 0 else None, moved if place == len(files) - 1 else None
            fixed, moving = reversed(ends) if is_inverted else ends
            links.append(Link(read_transform(path, fixed, moving), is_inverted, Path(path).name))
        return cls(tuple(links))

    @property
    def name(self) -> str:
        """Of all links, for messages."""
        return ", ".join(f"inverse of {link.name}" if link.is_inverted else link.name for link in self.links)

    def pull(self) -> Transform:
        """Points of the reference -> points of the input, which resampling needs."""
        return _joined([link.pull for link in self.links])

    def push(self) -> Transform:
        """Points of the input -> points of the reference."""
        return _joined([link.push for link in reversed(self.links)])

    def grid(self) -> Geometry | None:
        """The grid that the first link was made for, if it is one of a field."""
        return self.links[0].grid if self.links else None

    def check_meets(self, reference: Geometry, moved: Geometry | None = None) -> None:
        """Make sure that the reference, seen through the chain, meets every field and the input.

        Args:
            reference: grid of the result.
            moved: grid of the input; None where there is none.

        Raises:
            GeometryError: it misses one of them, so that the chain belongs to other images or goes the wrong way.

        Warns:
            UserWarning: part of the reference lies beyond a field.
        """
        points = _few(reference).points().reshape(-1, 3)
        for name, field, at in _walk([(link.name, link.pull) for link in self.links], points):
            outside = ~field.holds(field.world_to_voxel(at))
            if outside.all() and not self._meets_at_last(reference, name, field):
                raise GeometryError(
                    f"The field of {name} ({_place(field)}) does not meet the reference ({_place(reference)}) at all: "
                    "it belongs to other images, or goes the wrong way. Choose another transform, or its inverse."
                )
            if outside.mean() > NOT_WORTH_A_WORD:
                warnings.warn(
                    f"{100 * outside.mean():.0f} % of the reference lie outside the field of {name}, whose edge "
                    "carries them.",
                    stacklevel=2,
                )
        if moved is not None and not any(self._maps_into(moved, part) for part in (_few(reference), reference)):
            raise GeometryError(
                f"No voxel of the reference ({_place(reference)}) comes to lie in the input ({_place(moved)}): the "
                "transform goes the wrong way, or one of them belongs to another subject. Invert the transform, or "
                "choose other files."
            )

    def check_points(self, points: np.ndarray, name: str) -> None:
        """Count the points (P, 3) that no field knows, and those that have no exact place, after they were moved.

        Warns:
            UserWarning: there are some.
        """
        for link_name, field, at in _walk([(link.name, link.push) for link in reversed(self.links)], points):
            outside = int((~field.holds(field.world_to_voxel(at))).sum())
            if outside:
                warnings.warn(
                    f"{outside} of {len(points)} points of {name} lie outside the field of {link_name}, whose edge "
                    "carries them. Check that they belong to it.",
                    stacklevel=2,
                )

    def _maps_into(self, moved: Geometry, part: Geometry) -> bool:
        pull = self.pull()
        return any(bool(moved.holds(moved.world_to_voxel(pull.map_slab(part, slab))).any()) for slab in slabs(part))

    def _meets_at_last(self, reference: Geometry, name: str, field: Geometry) -> bool:
        """Whether any voxel at all does: a small field may lie between the samples."""
        for slab in slabs(reference):
            extents = (slab.stop - slab.start, *reference.shape[1:])
            points = reference.shifted((slab.start, 0, 0), extents).points().reshape(-1, 3)
            for own, grid, at in _walk([(link.name, link.pull) for link in self.links], points):
                if (own, grid) == (name, field) and grid.holds(grid.world_to_voxel(at)).any():
                    return True
        return False


def tell_misses(transform: Transform, name: str) -> None:
    """Say how many points had no exact inverse, once they were mapped.

    Warns:
        UserWarning: there were some.
    """
    for part in _parts(transform):
        if isinstance(part, PointwiseInverse) and part.misses.worst_mm > EXACT_MM:
            warnings.warn(
                f"{name} folds, so that its inverse is not exact at {part.misses.points} of the places: they miss by "
                f"up to {part.misses.worst_mm:.2g} mm. A smoother deformation comes back closer.",
                stacklevel=2,
            )


def writable(transform: Transform, grid: Geometry | None) -> Transform:
    """The same map without inverses that are solved where they are asked, which no file can hold.

    Args:
        transform: of a chain.
        grid: on which the first inverse is sampled; None takes that of its field, as for all further ones.
    """
    parts = list(_parts(transform))
    for place, part in enumerate(parts):
        if isinstance(part, PointwiseInverse):
            parts[place] = part.to_displacement(grid if place == 0 and grid is not None else part.field.geometry)
    return _joined(parts)


def _joined(transforms: Sequence[Transform]) -> Transform:
    return simplest(CompositeTransform(tuple(transforms))) if transforms else IDENTITY


def _parts(transform: Transform) -> tuple[Transform, ...]:
    return transform.transforms if isinstance(transform, CompositeTransform) else (transform,)


def _walk(
    transforms: Sequence[tuple[str, Transform]], points: np.ndarray
) -> Iterator[tuple[str, Geometry, np.ndarray]]:
    """Follow points (P, 3); for every field on the way its name, its grid and where it is asked."""
    for name, transform in transforms:
        for part in _parts(transform):
            before, points = points, part.apply_to_points(points)
            if isinstance(part, DisplacementField):
                yield name, part.geometry, before
            elif isinstance(part, PointwiseInverse):
                yield name, part.field.geometry, points


def _few(geometry: Geometry) -> Geometry:
    """The same extent with few voxels, the outermost ones where they were."""
    shape = np.array(geometry.shape)
    few = np.minimum(shape, SAMPLES)
    steps = np.where(few > 1, (shape - 1) / np.maximum(few - 1, 1), 1)
    return Geometry(tuple(few), geometry.affine @ np.diag([*steps, 1.0]))


def _place(geometry: Geometry) -> str:
    return f"{geometry}, around {', '.join(f'{value:.0f}' for value in geometry.centre)} mm"
