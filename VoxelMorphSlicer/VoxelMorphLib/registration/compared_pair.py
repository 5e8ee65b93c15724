"""Both images of a registration on few voxels, and what each position shows there; made once, asked often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..core.image import Image, LabelMap
from ..core.transform import Transform
from .agreement import Agreement, Change
from .averaging import averaged
from .intensities import bounds
from .quality import FEWEST, compared_places

#: Voxels on which two images are compared, at most.
SAMPLES = 120_000
#: Percentiles of the intensities that become 0 and 1.
CONTRAST = (0.5, 99.5)
#: Share of the contrast above which a voxel of the fixed image has contents.
CONTENTS = 0.1


@dataclass(frozen=True, eq=False)
class Position:
    """The moving image seen through a transform.

    Args:
        points: (I, J, K, 3), where the voxels of the pair's grid are in the moving space.
        values: (I, J, K), of the moving image there, 0 to 1.
        seen: (I, J, K) bool, inside its field of view.
        compared: the same inside its mask.
    """

    points: np.ndarray
    values: np.ndarray
    seen: np.ndarray
    compared: np.ndarray

    @property
    def overlap(self) -> float:
        """Share of the fixed volume where the moving one shows something, 0 to 1."""
        return float(self.seen.mean())


class ComparedPair:
    """Both images on few voxels.

    Masks limit the comparison to their inside where both images have one. One alone does not: a model that sees all
    of one image and a part of the other fits that part to everything, which looks good inside the mask and nowhere
    else.

    Args:
        fixed, moving: the images.
        fixed_mask, moving_mask: 0 and 1 on the grids of their images.
    """

    def __init__(
        self, fixed: Image, moving: Image, fixed_mask: LabelMap | None = None, moving_mask: LabelMap | None = None
    ):
        self.masks = fixed_mask, moving_mask
        coarse, coarse_moving = (_coarse(image, *bounds(image)) for image in (fixed, moving))
        self.fixed, self.grid, self.moving = _to_unit(coarse.array), coarse.geometry, moving.geometry
        self.inside: np.ndarray | bool = True
        self._mask: np.ndarray | None = None
        if fixed_mask is not None and moving_mask is not None:
            self.inside = _coarse(fixed_mask).array >= 0.5
            self._mask = _coarse(moving_mask).array
        self._moving_values = _to_unit(coarse_moving.array)
        self._blocks = np.rint(coarse_moving.geometry.spacing / moving.geometry.spacing)
        self._positions: dict[Transform, Position] = {}
        self._changes: dict[tuple[Position, Position], Change | None] = {}

    def at(self, transform: Transform) -> Position:
        """What the moving image shows through a transform, fixed -> moving; kept for the next question."""
        if transform not in self._positions:
            self._positions[transform] = self._seen_through(transform)
        return self._positions[transform]

    def _seen_through(self, transform: Transform) -> Position:
        points = transform.apply_to_points(self.grid.points())
        voxels = self.moving.world_to_voxel(points)
        seen = self.moving.holds(voxels)
        voxels = np.moveaxis((voxels - (self._blocks - 1) / 2) / self._blocks, -1, 0)
        values = map_coordinates(self._moving_values, voxels, np.float32, order=1, mode="nearest")
        compared = seen & self.inside
        if self._mask is not None:
            compared &= map_coordinates(self._mask, voxels, np.float32, order=1, mode="nearest") >= 0.5
        return Position(points, values, seen, compared)

    def change(self, earlier: Position, later: Position) -> Change | None:
        """Their agreement with the fixed image, at the same voxels if possible; None where one shows nothing.

        Kept for the next question, as positions are.
        """
        if (earlier, later) not in self._changes:
            self._changes[earlier, later] = self._measured(earlier, later)
        return self._changes[earlier, later]

    def _measured(self, earlier: Position, later: Position) -> Change | None:
        if min(earlier.compared.sum(), later.compared.sum()) < FEWEST:
            return None
        places = compared_places(earlier.compared, later.compared)
        before, after = (Agreement.of(self.fixed, at.values, place) for at, place in zip((earlier, later), places))
        return Change(before, after)

    def improved(self, begun: Transform, after: Transform, beyond_chance: bool = False) -> bool:
        """Whether a deformation raised any measure of agreement, or what was before shows too little to tell.

        Args:
            begun, after: fixed -> moving before and after the deformation.
            beyond_chance: ask for more than what it raises on different contrasts that were aligned already.
        """
        bent = self.change(self.at(begun), self.at(after))
        return bent is None or (bent.rose_beyond_chance() if beyond_chance else bent.rose())

    def far(self, begun: Position, after: Position) -> float:
        """Share of the fixed contents that the deformation displaces by more than half their smallest extent."""
        contents = self.fixed > CONTENTS
        voxels = np.argwhere(contents)
        if len(voxels) < FEWEST:
            return 0.0
        extents = (np.ptp(voxels, axis=0) + 1) * self.grid.spacing
        extent = extents[np.array(self.grid.shape) > 1].min()  # the thickness of a single slice tells nothing
        shift = (after.points - begun.points)[contents]
        return float((np.einsum("ij,ij->i", shift, shift) > (extent / 2) ** 2).mean())


def _coarse(image: Image, low: float = -np.inf, high: float = np.inf) -> Image:
    """Means over blocks, about as long on all axes, so that at most `SAMPLES` remain; also of masks.

    Args:
        image: any.
        low, high: what lies beyond is taken for this first.
    """
    spacing, shape = image.geometry.spacing, np.array(image.geometry.shape)
    size, blocks = float(spacing.min()), np.ones(3, int)
    while np.prod(-(-shape // blocks)) > SAMPLES:
        size *= 1.1
        blocks = np.maximum(1, np.floor(size / spacing)).astype(int)
    return averaged(image, blocks, low, high)


def _to_unit(array: np.ndarray) -> np.ndarray:
    low, high = np.percentile(array, CONTRAST)
    if low == high:  # little is bright
        low, high = array.min(), array.max()
    return np.clip((array - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1).astype(np.float32)
